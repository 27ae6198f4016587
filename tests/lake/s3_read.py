"""Imported where processes are forked: what botocore reads from its files is then read for all of them."""

import asyncio

from tests.lake.emulators import aws_session


async def _open_and_close() -> None:
    made_up = {"region_name": "us-east-1", "aws_access_key_id": "made-up", "aws_secret_access_key": "made-up"}
    async with aws_session().create_client("s3", **made_up):
        pass


asyncio.run(_open_and_close())
