"""``edgefuse export`` and ``edgefuse inspect`` as a user types them."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("onnx")


def test_a_graph_becomes_an_engine(run_cli, average_model, tmp_path):
    """The file, its targets and its parity are printed."""
    pytest.importorskip("tensorrt_rtx")
    out = tmp_path / "average.rtx"
    result = run_cli(
        "export", average_model, "-o", out, "--format", "tensorrt-rtx", "--imgsz", 32, 48, "--target", "sm_86,sm_89"
    )
    assert result.code == 0, result.err
    assert str(out) in result.out
    assert "sm_86, sm_89" in result.out
    assert "parity   mean 0" in result.out
    assert json.loads(out.with_suffix(".json").read_text())["targets"] == ["sm_86", "sm_89"]


def test_json_has_the_manifest(run_cli, average_model, tmp_path):
    """One document on standard output."""
    result = run_cli("export", "--model", average_model, "-o", tmp_path / "x.onnx", "--imgsz", 16, 16, "--json")
    document = json.loads(result.out)
    assert document["command"] == "export"
    assert document["path"] == str(tmp_path / "x.onnx")
    assert document["manifest"]["model"] == "average"
    assert document["manifest"]["parity"]["passed"] is True


def test_a_network_of_the_package_is_exported(run_cli, tmp_path):
    """With settings, untrained, from the command line alone."""
    pytest.importorskip("torch")
    out = tmp_path / "small.onnx"
    result = run_cli(
        "export", "lite", "-o", out, "--imgsz", 16, 32, "--config", "channels=4", "--untrained", "--overwrite"
    )
    assert result.code == 0, result.err
    assert "16x32" in result.out
    manifest = json.loads(out.with_suffix(".json").read_text())
    assert manifest["config"] == {"channels": 4}
    assert manifest["weights"]["origin"] == "untrained"


def test_tensorrt_without_its_library_exits_with_3(run_cli, average_model, tmp_path):
    """The graph is there, and the command for the device."""
    if __import__("importlib").util.find_spec("tensorrt") is not None:
        pytest.skip("TensorRT is installed")
    out = tmp_path / "average.plan"
    result = run_cli("export", average_model, "-o", out, "--format", "tensorrt", "--imgsz", 32, 32)
    assert result.code == 3
    assert "edgefuse export average.graph.onnx --format tensorrt --output average.plan" in result.err
    assert (tmp_path / "average.graph.onnx").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one model"),
        (["a.onnx", "--model", "b.onnx"], "give one model"),
        (["lite", "--format", "openvino"], "onnx, ort, tensorrt"),
        (["lite", "--config", "channels"], "KEY=VALUE"),
        (["lite", "--channels", "one"], "--channels must be numbers"),
        (["lite", "--min-imgsz", 8, 8], "go together and with --imgsz"),
        (["lite", "--lower-dft", "fft"], "--lower-dft must be one of"),
        (["nothing"], "unknown model 'nothing'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run_cli, arguments, message):
    """Before any file is written."""
    result = run_cli("export", *arguments)
    assert result.code == 2
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_a_damaged_graph_is_one_line_and_exit_code_1(run_cli, tmp_path):
    """Not a traceback of protobuf."""
    (tmp_path / "x.onnx").write_bytes(b"\x08\x09")
    for command in (["export", tmp_path / "x.onnx", "-o", tmp_path / "y.onnx"], ["inspect", tmp_path / "x.onnx"]):
        result = run_cli(*command)
        assert result.code == 1
        assert "truncated" in result.err
        assert len(result.err.strip().splitlines()) == 1


def test_inspect_shows_manifest_and_graph(run_cli, average_model):
    """For a person, and as JSON."""
    result = run_cli("inspect", average_model)
    assert result.code == 0
    for part in ("manifest  match", "model     average", "opset ai.onnx 18", "ir  FLOAT [B, 1, H, W]", "Add 1, Mul 1"):
        assert part in result.out
    document = json.loads(run_cli("inspect", average_model, "--json").out)
    assert document["command"] == "inspect"
    assert document["graph"]["operators"] == {"Add": 1, "Mul": 1}
