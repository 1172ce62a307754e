"""The commands, one file each: `add` declares the options, `run` imports and calls what does the work.

PyTorch and everything that needs it are imported inside `run`, so that `--help` answers at once.
"""
