"""The viewer: one page, in a report folder that opens from disk or served on this machine, and what feeds it."""
