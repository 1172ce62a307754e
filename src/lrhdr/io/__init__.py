"""Files in and out: stills, video, exposures, and sources of frames.

Arrays here are numpy, (H, W, 3), float32; everything above this floor turns them into tensors. Integer files are read
as gamma-encoded values in [0, 1], float files as linear values. Every reader raises `InputError` naming the file, every
writer goes through a temporary file and raises `OutputError`: a file under its final name is always complete.

`images` stills, `exr` OpenEXR, `video` video files, `yuv` their colour matrices, `metadata` exposures from text and
tags, `sources` the one entrance for a clip (`open_frames`), `atomic` the one exit to disk. Import the module that is
needed: this package imports none of them by itself, so that a program that reads PNGs does not load a video library.
"""
