"""Data: training samples made from stills and video, cached; evaluation clips."""
