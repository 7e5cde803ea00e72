"""A local server that answers as YouTube does, from `tests/data/youtube`, by the id of the video.

    with serve_youtube(video_file) as site:
        source = site.add("members only")  # a video that answers so

Ids are made of the answers' names. The media files are those of `video_file`; they are refused
unless the challenges of the player (`player.js`) were solved.
"""

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from argus.curate import VideoSource
from argus.synth import FileHandler, serve_handler

DATA = Path(__file__).parents[1] / "data" / "youtube"
ANSWERS: dict[str, dict[str, Any]] = json.loads((DATA / "answers.json").read_text())
PLAYER = (DATA / "player.js").read_text()
PLAYERS = {
    "c0dec0de": PLAYER,
    "bad0bad0": PLAYER.replace('"alr","yes"', '"alr","no"'),  # no function is recognized
    "0dd0f0f0": "var _yt_player={};" + PLAYER.replace("var _yt_player={};", "let x=1;let y=2;"),
    "ca11ca11": PLAYER.replace("g.build=build;", 'g.call=fetch("CALL");g.build=build;'),
}
N_CHALLENGE, SOLVED_N = "nChallenge9", "9egnellahCnZ"
SIGNATURE = "".join(chr(ord("a") + number % 26) for number in range(104))


@dataclass
class YoutubeSite:
    """The running server. `log` counts requests by kind: watch, player, media, refused, other."""

    url: str
    media: Path
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)  # by id
    log: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)  # media requests, by id

    def add(self, answer: str, number: int = 0) -> VideoSource:
        """Return a source whose video answers as named."""
        digest = hashlib.sha256(f"{answer} {number}".encode()).hexdigest()
        video_id = digest[:11]
        self.answers[video_id] = ANSWERS["answers"][answer]
        return VideoSource(f"youtube:{video_id}", f"https://www.youtube.com/watch?v={video_id}")


@contextlib.contextmanager
def serve_youtube(media: Path) -> Iterator[YoutubeSite]:
    """Serve until the block ends; `media` is the file behind every format."""

    class Handler(_Handler):
        pass

    with serve_handler(Handler) as url:
        Handler.site = YoutubeSite(url, media)
        Handler.folder, Handler.requests = media.parent, []
        yield Handler.site


class _Handler(FileHandler):
    site: YoutubeSite

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/watch"):
            self.site.log["watch"] += 1
            self._send(_make_page(query["v"], self.site.answers[query["v"]]), "text/html")
        elif "/embed/" in parts.path:
            video_id = parts.path.rpartition("/")[2]
            self._send(_make_page(video_id, self.site.answers[video_id]), "text/html")
        elif "/s/player/" in parts.path:
            self.site.log["player"] += 1
            code = PLAYERS[parts.path.split("/")[4]].replace("CALL", f"{self.site.url}/called")
            self._send(code, "text/javascript")
        elif parts.path.endswith("/videoplayback"):
            self._send_media(query)
        else:
            self.site.log["other"] += 1
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.site.log["player API"] += 1
        answer = self.site.answers[body["videoId"]]
        if status := answer.get("http"):
            self.send_error(status)
        else:
            self._send(json.dumps(_make_response(body["videoId"], answer)), "application/json")

    def find_file(self) -> Path:
        return self.site.media

    def _send(self, text: str, kind: str) -> None:
        data = text.encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_media(self, query: dict[str, str]) -> None:
        answer = self.site.answers[query["id"]]
        is_solved = query["n"] == SOLVED_N and (
            not answer.get("ciphered") or query.get("sig") == SIGNATURE[::-1][1:]
        )
        if not is_solved or self.site.refused[query["id"]] < answer.get("refusals", 0):
            self.site.refused[query["id"]] += 1
            self.site.log["refused"] += 1
            self.send_error(HTTPStatus.FORBIDDEN)
        else:
            self.site.log["media"] += 1
            self.respond(send_body=True)


def _make_page(video_id: str, answer: dict[str, Any]) -> str:
    player = answer.get("player", "c0dec0de")
    settings = {
        "INNERTUBE_CONTEXT": {"client": {"clientName": "WEB", "clientVersion": "2.20260708.00.00"}},
        "PLAYER_JS_URL": f"/s/player/{player}/player_ias.vflset/en_US/base.js",
        "VISITOR_DATA": "CgtWaXNpdG9yRGF0YQ%3D%3D",
    }
    data = {"contents": {"twoColumnWatchNextResults": {}}}
    response = _make_response(video_id, answer)
    return (
        f"<html><head><title>x</title><script>ytcfg.set({json.dumps(settings)});</script></head>"
        f"<body><script>var ytInitialPlayerResponse = {json.dumps(response)};</script>"
        f"<script>var ytInitialData = {json.dumps(data)};</script></body></html>"
    )


def _make_response(video_id: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return a response of the player API."""
    status = {"status": answer.get("status", "OK"), "reason": answer.get("reason")}
    error = {"subreason": {"simpleText": answer.get("subreason")}} if "subreason" in answer else {}
    screen = {"playerErrorMessageRenderer": error, **answer.get("screen", {})}
    response = {
        "playabilityStatus": {**status, "errorScreen": screen},
        "videoDetails": {
            "videoId": answer.get("answered_id", video_id),
            "title": "A walk",
            "lengthSeconds": "4",
            "channelId": "UCBR8-60-B28hp2BmDPdntcQ",
            "isLiveContent": False,
            **answer.get("live", {}),
        },
    }
    if "itags" in answer:
        formats = [_make_format(video_id, itag, answer) for itag in answer["itags"]]
        response["streamingData"] = {
            "formats": [one for one in formats if one["itag"] == 18],
            "adaptiveFormats": [one for one in formats if one["itag"] != 18],
            "serverAbrStreamingUrl": "https://rr1---sn-x.googlevideo.com/videoplayback?sabr=1",
        }
        if answer.get("storyboard", True):
            spec = ANSWERS["storyboard"].replace("ID", video_id)
            response["storyboards"] = {"playerStoryboardSpecRenderer": {"spec": spec}}
    return response


def _make_format(video_id: str, itag: str, answer: dict[str, Any]) -> dict[str, Any]:
    query = {"id": video_id, "itag": itag, "n": N_CHALLENGE, "c": "TVHTML5"}
    url = f"https://rr1---sn-x.googlevideo.com/videoplayback?{urlencode(query)}"
    known = {"projectionType": answer["projection"], **ANSWERS["formats"][itag]}
    one = {"itag": int(itag), "approxDurationMs": "4000", **known}
    if itag not in answer.get("urls", [itag]):
        return one
    if answer.get("ciphered"):
        return one | {"signatureCipher": urlencode({"s": SIGNATURE, "sp": "sig", "url": url})}
    return one | {"url": url}
