"""The filters: each measures the samples of a video or of a clip, and gives numbers beside thresholds. `argus.curate.filters.base` orders them."""
