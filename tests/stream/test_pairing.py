"""Pairs by capture time: rates, offsets, late and missing frames, bounded queues."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefuse.errors import UsageError
from edgefuse.stream.frame import Frame
from edgefuse.stream.pairing import Pair, Pairer

PIXEL = np.zeros((1, 1), np.uint8)


def frame(role: Any, number: int, at: float, changed: float | None = None) -> Frame:
    """A frame of which only the times matter."""
    return Frame(role, PIXEL, number, None, at, at if changed is None else changed)


def play(ir_times: list[float], vis_times: list[float], *, max_skew: float = 0.05) -> tuple[list[Pair], Pairer]:
    """Pair two recorded streams that two threads offer."""
    pairer = Pairer(max_skew_seconds=max_skew, mode="every", live=False)

    def offer(role: Any, times: list[float]) -> None:
        for number, at in enumerate(times):
            pairer.offer(frame(role, number, at))
        pairer.end(role)

    threads = [threading.Thread(target=offer, args=args) for args in (("ir", ir_times), ("vis", vis_times))]
    for thread in threads:
        thread.start()
    pairs = []
    while not pairer.finished:
        pair = pairer.next(0.02)
        if pair is not None:
            pairs.append(pair)
    pairer.close()
    for thread in threads:
        thread.join(5.0)
        assert not thread.is_alive()
    return pairs, pairer


@pytest.mark.parametrize(("ir_hz", "vis_hz"), [(60, 30), (9, 30), (30, 30), (30, 9), (25, 30)])
def test_every_visible_frame_gets_the_nearest_infrared_one(ir_hz: float, vis_hz: float) -> None:
    """At any two rates, with the skew that belongs to it."""
    ir_times = [number / ir_hz + 0.003 for number in range(int(4 * ir_hz))]
    vis_times = [number / vis_hz for number in range(int(4 * vis_hz))]
    pairs, pairer = play(ir_times, vis_times, max_skew=0.06)
    assert len(pairs) + pairer.drops["no_ir"] + pairer.drops["skew"] == len(vis_times)
    assert len(pairs) >= len(vis_times) - 3
    for pair in pairs:
        nearest = min(ir_times, key=lambda at, pair=pair: abs(at - pair.vis.captured_seconds))
        assert abs(pair.skew_seconds) == pytest.approx(abs(nearest - pair.vis.captured_seconds))


def test_nothing_beyond_the_largest_skew_is_paired() -> None:
    """A stream that is late by more than allowed gives no pair, and the cause is counted."""
    pairs, pairer = play([0.07 + n * 0.2 for n in range(20)], [n * 0.2 for n in range(20)], max_skew=0.05)
    assert pairs == []
    assert pairer.drops["skew"] == 20


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0.001, 0.2), min_size=1, max_size=150),
    st.lists(st.floats(0.001, 0.2), min_size=1, max_size=60),
)
def test_recorded_streams_pair_by_their_times_alone(ir_steps: list[float], vis_steps: list[float]) -> None:
    """Whatever order the two threads run in, and without ever standing still."""
    ir_times, vis_times = (np.cumsum(steps).tolist() for steps in (ir_steps, vis_steps))
    pairs, _ = play(ir_times, vis_times)
    expected = [at for at in vis_times if min(abs(at - other) for other in ir_times) <= 0.05]
    assert [pair.vis.captured_seconds for pair in pairs] == expected
    again, _ = play(ir_times, vis_times)
    assert [(p.ir.sequence, p.vis.sequence) for p in again] == [(p.ir.sequence, p.vis.sequence) for p in pairs]


class Clock:
    """A clock that the test turns."""

    now = 100.0

    def __call__(self) -> float:
        """Monotonic seconds."""
        return self.now


def test_the_freshest_pair_is_given_and_the_others_are_counted() -> None:
    """A slow consumer sees the newest moment; nothing piles up."""
    clock = Clock()
    pairer = Pairer(max_skew_seconds=0.05, clock=clock)
    for number in range(30):
        pairer.offer(frame("ir", number, 100 + number / 30))
        pairer.offer(frame("vis", number, 100 + number / 30))
    clock.now = 101.0
    pair = pairer.next(0.0)
    assert pair is not None
    assert pair.vis.sequence == 29
    assert pairer.drops["superseded"] + pairer.drops["queue_full"] == 29
    assert pairer.next(0.0) is None


def burst(
    busy_seconds: float, late_seconds: float, *, first_at_once: bool = False, held_up_seconds: float = 0.0
) -> tuple[list[int], int]:
    """Frames at 30 Hz and a taker that needs so long for each, then 4 frames at once, the first of them so late.

    ``first_at_once`` stamps the first two frames as one, as network cameras do that begin with what they had in store;
    the last frame before the burst holds its taker up for ``held_up_seconds`` more.
    """
    clock = Clock()
    pairer = Pairer(max_skew_seconds=0.05, clock=clock)

    def offer(number: int) -> None:
        for role in ("ir", "vis"):
            pairer.offer(frame(role, number, 100 + max(number, first_at_once) / 30))

    for number in range(5):
        clock.now = 100 + max(number, first_at_once) / 30
        offer(number)
        assert pairer.next(0.0) is not None
        clock.now += busy_seconds + (held_up_seconds if number == 4 else 0.0)
        assert pairer.next(0.0) is None
    clock.now = 100 + 5 / 30 + late_seconds
    for number in range(5, 9):
        offer(number)
    taken = []
    while (pair := pairer.next(0.0)) is not None:
        taken.append(pair.vis.sequence)
        clock.now += busy_seconds
    return taken, pairer.drops["superseded"]


def test_a_burst_is_caught_up_with_where_fusing_is_fast() -> None:
    """Jitter costs no frame then; a slow taker and very late frames are still given the newest alone."""
    assert burst(busy_seconds=0.011, late_seconds=0.11) == ([5, 6, 7, 8], 0)
    assert burst(busy_seconds=0.030, late_seconds=0.11) == ([8], 3)
    assert burst(busy_seconds=0.011, late_seconds=0.40) == ([8], 3)
    assert burst(busy_seconds=0.011, late_seconds=0.27) == ([6, 7, 8], 1)
    assert burst(busy_seconds=0.011, late_seconds=0.11, first_at_once=True) == ([5, 6, 7, 8], 0)
    assert burst(busy_seconds=0.011, late_seconds=0.22, held_up_seconds=0.2) == ([5, 6, 7, 8], 0)


def test_a_late_infrared_frame_is_waited_for_and_no_longer_than_useful() -> None:
    """Within the largest skew it may still come; after that it cannot be a partner."""
    clock = Clock()
    pairer = Pairer(max_skew_seconds=0.05, clock=clock)
    pairer.offer(frame("ir", 0, 100.0))
    pairer.offer(frame("vis", 0, 100.04))
    clock.now = 100.05
    assert pairer.next(0.0) is None
    clock.now = 100.10
    pair = pairer.next(0.0)
    assert pair is not None
    assert pair.skew_seconds == pytest.approx(-0.04)


def test_a_silent_infrared_camera_is_held_with_its_age() -> None:
    """A closed shutter: fusion goes on with the last infrared frame, up to a limit."""
    clock = Clock()
    pairer = Pairer(max_skew_seconds=0.05, hold_seconds=3.0, clock=clock)
    for number in range(4):
        pairer.offer(frame("ir", number, 100 + number / 30))
    ages = []
    for number in range(1, 5):
        clock.now = 100.1 + number
        pairer.offer(frame("vis", number, clock.now - 0.06))
        pair = pairer.next(0.0)
        ages.append(None if pair is None else round(pair.ir_age_seconds, 2))
        assert pair is None or pair.held
    assert ages == [0.94, 1.94, 2.94, None]
    assert pairer.drops["skew"] == 1


def test_a_long_skew_at_a_high_rate_does_not_starve_a_stream_whose_infrared_camera_is_silent() -> None:
    """What may wait half a second does not fit into the queue at 60 frames a second: it is held, not dropped."""
    clock = Clock()
    pairer = Pairer(max_skew_seconds=0.5, clock=clock)
    for number in range(60):
        pairer.offer(frame("ir", number, 100 + number / 60))
    given = 0
    for number in range(240):
        clock.now = 101 + number / 60
        pairer.offer(frame("vis", number, clock.now))
        given += pairer.next(0.0) is not None
    assert given > 200
    assert pairer.drops["queue_full"] == 0


def test_a_repeated_picture_is_held_too() -> None:
    """A shutter that repeats its last frame: new times, old picture."""
    pairer = Pairer(max_skew_seconds=0.05, clock=Clock())
    pairer.offer(frame("ir", 9, 100.0, changed=99.2))
    pairer.offer(frame("vis", 9, 100.0))
    pair = pairer.next(0.0)
    assert pair is not None
    assert (pair.held, round(pair.ir_age_seconds, 3)) == (True, 0.8)


def test_a_frame_over_the_latency_budget_is_dropped() -> None:
    """Late pictures are worse than none on a moving machine."""
    clock = Clock()
    pairer = Pairer(max_skew_seconds=0.05, latency_budget_seconds=0.1, clock=clock)
    pairer.offer(frame("ir", 0, 100.0))
    pairer.offer(frame("vis", 0, 100.0))
    clock.now = 100.2
    assert pairer.next(0.0) is None
    assert pairer.drops["latency_budget"] == 1


def test_queues_are_bounded_whatever_comes() -> None:
    """An hour of one camera without the other takes no memory."""
    pairer = Pairer(max_skew_seconds=0.05)
    for number in range(5000):
        pairer.offer(frame("vis", number, number / 30))
    for number in range(5000):
        pairer.offer(frame("ir", number, 1e6 + number / 30))
    assert pairer.queued["vis"] <= 8
    assert pairer.queued["ir"] <= 64
    assert pairer.drops["queue_full"] == 4992


def test_a_wrong_mode_or_budget_is_refused() -> None:
    """With what is allowed."""
    with pytest.raises(UsageError, match="freshest, every"):
        Pairer(max_skew_seconds=0.05, mode="fast")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="budget"):
        Pairer(max_skew_seconds=0.05, latency_budget_seconds=0.0)
