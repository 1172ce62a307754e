"""The parts of `make_demo_clip.py`: textures, meshes, the scene and its motion, the denoiser. Run by hand only."""
