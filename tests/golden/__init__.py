"""Lakes as older versions landed them, which every later version must read, and the nights that they were landed from.

``lakes/schema-1`` was made by the code of commit 126aa39, before any release. Nothing below ``lakes`` is written again.
"""
