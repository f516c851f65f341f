"""Sources as users write them, and what is shown of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefuse.errors import UsageError
from edgefuse.stream.uri import parse_uri, redact


@pytest.mark.parametrize(
    ("text", "kind", "live"),
    [
        ("v4l2:///dev/video0?format=y16", "v4l2", True),
        ("rtsp://camera/live", "rtsp", True),
        ("rtsps://camera/live", "rtsp", True),
        ("https://camera/video", "http", True),
        ("udp://127.0.0.1:5000", "udp", True),
        ("csi://1?size=1280x720", "csi", True),
        ("gst:videotestsrc ! appsink", "gst", True),
        ("synthetic:?seed=3&size=64x48", "synthetic", True),
        ("clip.mp4", "file", False),
        ("frames/%04d.png", "frames", False),
    ],
)
def test_every_kind_is_told_by_its_form(text: str, kind: str, live: bool) -> None:
    """Live sources are restarted, recorded ones end."""
    uri = parse_uri(text)
    assert (uri.kind, uri.live) == (kind, live)


def test_options_are_taken_off_the_target(tmp_path: Path) -> None:
    """What the opener gets is the device or path alone."""
    uri = parse_uri("v4l2:///dev/video2?format=y16&size=640x512")
    assert (uri.target, uri.options["format"], uri.size()) == ("/dev/video2", "y16", (512, 640))
    assert parse_uri(f"{tmp_path}?rate=9").number("rate", 30.0) == 9.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://host/x",
        "nothing",
        "v4l2:///dev/video0?colour=1",
        "synthetic:?size=64",
        "clip.mp4?rate=-1",
        "rtsp:///x",
    ],
)
def test_what_is_no_source_is_refused(text: str) -> None:
    """A wrong source is wrong usage, found before anything is opened."""
    with pytest.raises(UsageError):
        parse_uri(text)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:hunter2@10.0.0.2:554/live",
        "rtsp://admin:hunt@er:hunter2@10.0.0.2/live",
        "http://camera/video?user=a&password=hunter2&size=1",
        "gst:rtspsrc location=rtsp://u:hunter2@h/ user-pw=hunter2 ! appsink",
        'gst:souphttpsrc location=http://h api_key="hunter2 hunter2" ! appsink',
    ],
)
def test_credentials_are_never_shown(text: str) -> None:
    """Neither in the shown form, nor in the representation of the object."""
    uri = parse_uri(text)
    assert "hunter2" not in uri.shown
    assert "hunter2" not in repr(uri)
    assert "hunter2" in uri.target


@settings(max_examples=50)
@given(
    st.text(),
    st.text(alphabet=st.characters(blacklist_categories=["Z", "C"], blacklist_characters="/?#\"'"), min_size=1),
)
def test_redaction_hides_any_user_info(before: str, secret: str) -> None:
    """Whatever stands around a URL."""
    assert f"//{secret}@" not in redact(f"{before} rtsp://{secret}@host/x") or set(secret) == {"*"}
