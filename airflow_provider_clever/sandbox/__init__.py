"""A stand-in for the Clever API that runs on this machine: synthetic districts, real wire behaviour, no account."""
