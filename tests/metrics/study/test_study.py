"""Methods against each other on folders of images."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgefuse.errors import InputError, UsageError
from edgefuse.images import read_vis, write_image
from edgefuse.metrics import evaluate
from edgefuse.metrics.corruption import parse_corruption
from edgefuse.metrics.study import Method, Request, Study, find_items, mean_table, method_from_text, plan, render, run
from edgefuse.metrics.study.run import default_workers

QUICK = Request(metrics=("EN", "SD", "MI", "SCD"))


def _picture(seed: int, size: tuple[int, ...] = (48, 56)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Four scenes in ``ir``, ``vis`` and ``mask``, fused by ``max`` and ``mean``."""
    for index, name in enumerate(("frame2", "frame10", "a", "b")):
        ir, vis = _picture(index), _picture(index + 100, (48, 56, 3))
        mask = np.zeros((48, 56), np.uint8)
        mask[20:28, 20 : 24 + index] = 255
        write_image(tmp_path / "ir" / f"{name}.png", np.where(mask, 250, ir // 2).astype(np.uint8))
        write_image(tmp_path / "vis" / f"{name}.jpg", vis)
        vis = read_vis(tmp_path / "vis" / f"{name}.jpg")
        ir = read_vis(tmp_path / "ir" / f"{name}.png")
        write_image(tmp_path / "mask" / f"{name}.png", mask)
        write_image(tmp_path / "max" / f"{name}.png", np.maximum(ir[..., None], vis))
        write_image(tmp_path / "mean" / f"{name}.png", (ir[..., None] // 2 + vis // 2).astype(np.uint8))
    return tmp_path


def _study(folders: Path, request: Request = QUICK, *, workers: int = 1, mask: bool = False) -> Study:
    methods = [Method("max", fused=folders / "max"), Method("mean", fused=folders / "mean")]
    items, problems = find_items(folders / "ir", folders / "vis", folders / "mask" if mask else None)
    jobs = plan(methods, items)
    rows = run(jobs, request, workers=workers)
    return Study(request, tuple(jobs), tuple(rows), tuple(problems))


def test_rows_are_what_evaluate_gives_in_natural_order(folders: Path) -> None:
    """A study adds nothing to the scores and puts frame 2 before frame 10."""
    study = _study(folders)
    assert study.images == ("a", "b", "frame2", "frame10")
    assert study.methods == ("max", "mean")
    row = next(row for row in study.rows if (row.method, row.image) == ("mean", "b"))
    images = [read_vis(folders / part) for part in ("mean/b.png", "ir/b.png", "vis/b.jpg")]
    assert row.scores == evaluate(*images, metrics=["EN", "SD", "MI", "SCD"])


def test_means_and_ranks_follow_from_the_rows(folders: Path) -> None:
    """The mean is over images, the rank of ranks over the metrics."""
    study = _study(folders)
    values = [row.scores["SD"] for row in study.rows_of("max")]
    assert study.means("max")["SD"] == pytest.approx(sum(values) / 4)
    assert sorted(study.ranks().values()) in ([1, 1], [1, 2])
    table = mean_table(study)
    assert table.columns == ("EN", "SD", "MI", "SCD", "RoR")
    assert [name for name, _ in table.rows] == ["max", "mean"]


def test_workers_give_the_same_rows(folders: Path) -> None:
    """Processes change nothing but the order in which rows arrive."""
    alone, shared = _study(folders), _study(folders, workers=2)
    assert alone.ordered_rows() == shared.ordered_rows()
    assert alone.record() == shared.record()


def test_masks_add_target_retention_with_its_worst_value(folders: Path) -> None:
    """TR is a column of its own, its smallest value another one of the mean table."""
    study = _study(folders, mask=True)
    means = study.means("mean")
    values = [row.scores["TR"] for row in study.rows_of("mean")]
    assert means["TR"] == pytest.approx(sum(values) / 4)
    assert means["TR_worst"] == min(values)
    assert mean_table(study).columns == ("EN", "SD", "MI", "SCD", "TR", "TR_worst", "RoR")
    assert "TR: target retention" in study.remarks()[0]


def test_a_method_without_an_image_narrows_the_means_of_all(folders: Path) -> None:
    """Means over different images cannot be compared, so the image is left out everywhere, and said so."""
    (folders / "mean" / "a.png").unlink()
    study = _study(folders)
    assert study.images == ("b", "frame2", "frame10")
    assert "Means over the 3 of 4 images that every method has." in study.remarks()
    assert any("mean: no fused image named 'a'" in line for line in study.errors)
    assert len(study.rows_of("max")) == 3


def test_sizes_that_differ_are_an_error_naming_both_files(folders: Path) -> None:
    """The other images are scored all the same."""
    write_image(folders / "max" / "b.png", _picture(1, (40, 56)))
    study = _study(folders)
    (error,) = study.errors
    assert f"{folders / 'max' / 'b.png'} is 56x40, {folders / 'vis' / 'b.jpg'} is 56x48" in error
    assert study.images == ("a", "frame2", "frame10")


def test_undefined_values_are_left_out_of_the_mean_and_told(folders: Path) -> None:
    """SCD is not defined where fused equals a source; the mean is over the others and the reason is under the table."""
    ir = read_vis(folders / "ir" / "b.png")
    write_image(folders / "max" / "b.png", ir)
    study = _study(folders)
    defined = [row.scores["SCD"] for row in study.rows_of("max") if row.image != "b"]
    assert study.means("max")["SCD"] == pytest.approx(sum(defined) / 3)
    assert any(
        "SCD is undefined for 1 result" in line and "fused minus ir is constant" in line for line in study.remarks()
    )
    rows = json.loads(json.dumps(study.record(), allow_nan=False))["images"]
    assert next(row for row in rows if row["method"] == "max" and row["image"] == "b")["scores"]["SCD"] is None


def test_an_interrupted_study_has_the_same_scenes_of_every_method(folders: Path) -> None:
    """Rows come scene by scene: what is there after a stop can be compared."""
    methods = [Method("max", fused=folders / "max"), Method("mean", fused=folders / "mean")]
    jobs = plan(methods, find_items(folders / "ir", folders / "vis")[0])
    results = run(jobs, QUICK)
    rows = tuple(next(results) for _ in range(5))
    results.close()
    study = Study(QUICK, tuple(jobs), rows)
    assert not study.is_complete
    assert study.images == ("a", "b")
    assert study.remarks()[-1] == "INCOMPLETE: stopped after 5 of 8 results."
    assert math.isfinite(study.means("mean")["SD"])


def test_a_study_that_was_stopped_at_once_is_still_a_table(folders: Path) -> None:
    """Nothing is done, nothing is ranked, nothing crashes."""
    methods = [Method("max", fused=folders / "max"), Method("mean", fused=folders / "mean")]
    jobs = plan(methods, find_items(folders / "ir", folders / "vis")[0])
    study = Study(QUICK, tuple(jobs), ())
    text = render(mean_table(study), "markdown")
    assert text.count("–") == 8
    assert "INCOMPLETE: stopped after 0 of 8 results." in text
    json.dumps(study.record(), allow_nan=False)


def test_a_model_is_fused_and_scored_in_one_go(folders: Path, average_model: Path) -> None:
    """Scores are those of the images that the model makes."""
    import edgefuse.fuser

    items, _ = find_items(folders / "ir", folders / "vis")
    jobs = plan([Method("average", model=str(average_model))], items)
    row = next(run([job for job in jobs if job.item.name == "b"], QUICK))
    ir, vis = read_vis(folders / "ir" / "b.png"), read_vis(folders / "vis" / "b.jpg")
    with edgefuse.fuser.load(average_model) as fuse:
        fused = fuse(ir, vis)
    assert row.scores == evaluate(fused, ir, vis, metrics=["EN", "SD", "MI", "SCD"])


def test_disturbed_inputs_are_scored_against_clean_sources(folders: Path, average_model: Path) -> None:
    """Each disturbance is a row of its own for every image, and its table shows the change."""
    from edgefuse.metrics.study import robustness_table

    items, _ = find_items(folders / "ir", folders / "vis")
    disturbances = [(parse_corruption("stripe:50"), parse_corruption("gauss:400")), (parse_corruption("dark"),)]
    jobs = plan([Method("average", model=str(average_model))], items, disturbances)
    assert len(jobs) == 3 * 4
    study = Study(QUICK, tuple(jobs), tuple(run(jobs, QUICK)))
    assert study.errors == ()
    assert study.disturbances == ("stripe:50+gauss:400", "dark")
    assert study.means("average", "dark")["SD"] < study.means("average")["SD"]
    assert study.means("average", "stripe:50+gauss:400")["SCD"] < study.means("average")["SCD"]
    table = robustness_table(study)
    assert [name for name, _ in table.rows] == ["average, clean", "average, stripe:50+gauss:400", "average, dark"]
    assert table.baseline == (None, 0, 0)
    again = Study(QUICK, tuple(jobs), tuple(run(jobs, QUICK)))
    assert again.record() == study.record()


def test_a_raw_thermal_image_is_scored_as_it_is_displayed(folders: Path) -> None:
    """16-bit counts are stretched to 8 bits first; a study does not stop at them."""
    raw = (read_vis(folders / "ir" / "b.png").astype(np.uint16) * 4) + 7000
    write_image(folders / "ir" / "b.png", raw)
    study = _study(folders)
    assert study.errors == ()
    assert len(study.images) == 4


def test_single_files_make_a_study_of_one(folders: Path) -> None:
    """Files need not have one name where there is only one of each."""
    items, _ = find_items(folders / "ir" / "a.png", folders / "vis" / "b.jpg")
    jobs = plan([Method("one", fused=folders / "max" / "frame2.png")], items)
    (row,) = run(jobs, QUICK)
    assert row.error is None


def test_spectra_are_kept_for_the_picture(folders: Path) -> None:
    """With spectra each row holds three radial averages and three scores."""
    study = _study(folders, Request(metrics=("EN",), spectrum=True))
    assert study.columns == ("EN", "PSD_ir", "PSD_vis", "PSD_entropy")
    for row in study.rows:
        assert {name: len(values) for name, values in row.spectra.items()} == {"fused": 24, "ir": 24, "vis": 24}


def test_paths_that_do_not_fit_are_told(folders: Path) -> None:
    """Each message says which option or method is wrong, and what would be right."""
    ir, vis = folders / "ir", folders / "vis"
    with pytest.raises(InputError, match=r"--ir .*nowhere: no such file"):
        find_items(folders / "nowhere", vis)
    with pytest.raises(UsageError, match="only folders or only files"):
        find_items(ir, vis / "a.jpg")
    write_image(folders / "other" / "x.png", _picture(1))
    with pytest.raises(InputError, match="no mask in"):
        find_items(ir, vis, folders / "other")
    items, _ = find_items(ir, vis)
    with pytest.raises(InputError, match=r"new: no image in .*other is named like a scene, as a.png would be"):
        plan([Method("new", fused=folders / "other")], items)
    with pytest.raises(InputError, match="no such folder"):
        plan([Method("new", fused=folders / "nowhere")], items)
    with pytest.raises(InputError, match="there are 4 scenes; give a folder"):
        plan([Method("new", fused=folders / "max" / "a.png")], items)
    with pytest.raises(UsageError, match="write NAME=DIR"):
        method_from_text("folder")
    with pytest.raises(UsageError, match="either fused images or a model"):
        Method("both", fused=ir, model="lite")
    with pytest.raises(UsageError, match="does not define VIFF"):
        Request(convention="vifb", metrics=("VIFF",))


def test_a_model_gets_one_process_and_many_images_get_several(folders: Path) -> None:
    """A runtime uses every core by itself; a handful of images is done before a worker has started."""
    items, _ = find_items(folders / "ir", folders / "vis")
    few = plan([Method("max", fused=folders / "max")], items)
    model = plan([Method("lite", model="lite")], items * 100)
    assert default_workers(few) == 1
    assert default_workers(model) == 1
    assert default_workers(few * 100) >= 1
