"""From a url to a file on the disk: when a site may be asked (pacing), by which way (route), what is refused (guard, room), what is continued.

`fetch` is one try; it runs `download`, with yt-dlp, in a process of its own.
"""
