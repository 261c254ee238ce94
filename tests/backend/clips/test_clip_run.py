"""A clip from end to end, on a rendered person: accurate, resumable at any moment, with all losses reported."""

import json
import random
import shutil
import subprocess
import sys
import time

import av
import numpy as np
import pytest

from backend.body.procrustes import pa_mpjpe
from backend.clips.clip_run import ClipRun
from backend.clips.job_file import ClipJobFile
from backend.clips.journal import Journal
from backend.clips.results import motion_from_fields
from backend.errors import BadInput, Cancelled, RecoverMeshError
from backend.export.npz import read_npz
from backend.motion.metrics import mpjpe
from backend.structures import ClipChunk, ClipPeople

DETECT = "backend.people.detect.clip_detector.ClipDetector.detect_next"


def results(out):
    return {path.name: read_npz(path) for path in sorted(out.glob("person*.npz"))}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, fields in expected.items():
        for key, value in fields.items():
            np.testing.assert_array_equal(found[name][key], value, err_msg=f"{name} {key}")


def write_video(path, images):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=15)
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def reference(walk, recoverer, tmp_path_factory):
    """Folder and records of an uninterrupted run."""
    out = tmp_path_factory.mktemp("reference")
    run = ClipRun(ClipJobFile(source=str(walk), out=str(out)), recoverer)
    records = []
    while not run.over:
        records += run.advance(lambda progress: None)
    run.close()
    return out, records


def test_the_motion_is_close_to_the_ground_truth(walk, reference):
    out, _ = reference
    (name,) = results(out)
    motion, world = motion_from_fields(read_npz(out / name))
    with np.load(walk.with_suffix(".npz")) as gt:
        gt_joints = gt["joints"][0]
    np.testing.assert_array_equal(motion.frames, np.arange(40))
    assert not motion.filled.any()
    assert pa_mpjpe(motion.joints, gt_joints).mean() < 80
    assert mpjpe(motion.joints, gt_joints) < 120
    assert 1.0 < world.translation[2] < 2.0  # the camera is 1.5 m above the ground
    feet = world.points(motion.joints[:, [10, 11]])[..., 2]
    assert 0 < feet.min() < 0.08


def test_provisional_records_come_before_final_ones(reference):
    _, records = reference
    kinds = [type(record) for record in records]
    assert kinds == [ClipChunk] * 3 + [ClipPeople, ClipChunk]
    provisional = np.concatenate([r.frames for r in records[:3]])
    np.testing.assert_array_equal(provisional, np.arange(40))
    assert [r.final for r in records if isinstance(r, ClipChunk)] == [False] * 3 + [True]
    people = records[3]
    assert people.thumbnails.shape == (1, 96, 96, 3)
    assert people.thumbnails.std() > 10
    assert (people.seen[0], bool(people.kept[0])) == (40, True)


@pytest.mark.parametrize("steps", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_resumed_run_gives_the_same_results(run_clip, reference, tmp_path, steps):
    for _ in range(20):
        run, _ = run_clip(steps)
        if run.over:
            break
        steps += 1
    assert run.over
    assert_same(results(tmp_path / "out"), results(reference[0]))


def test_a_run_cancelled_within_frames_gives_the_same_results(run_clip, reference, tmp_path):
    rng = random.Random(0)

    def maybe(progress):
        if rng.random() < 0.05:
            raise Cancelled

    for _ in range(200):
        try:
            run_clip(on_progress=maybe)
        except Cancelled:
            continue
        break
    assert_same(results(tmp_path / "out"), results(reference[0]))


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_killed_run_gives_the_same_results(walk, reference, tmp_path, kills):
    rng = random.Random(1)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "backend", "recover", str(walk), "--out", str(out)]

    def count_chunks():  # not by rglob: that fails when a temporary folder of the other process disappears
        return len(list((out / "walk" / "journal").glob("chunk-*.npz")))

    for _ in range(kills):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            chunks = count_chunks()
            end = time.monotonic() + 240
            while count_chunks() == chunks and process.poll() is None:
                assert time.monotonic() < end
                time.sleep(0.02)
            time.sleep(rng.random() * 0.8)
            process.kill()
    assert count_chunks() >= kills
    subprocess.run(command, check=True, capture_output=True)
    assert_same(results(out / "walk"), results(reference[0]))


def test_other_smoothing_uses_the_same_journal(run_clip, reference, tmp_path, monkeypatch):
    shutil.copytree(reference[0] / "journal", tmp_path / "out" / "journal")
    monkeypatch.setattr(DETECT, lambda *_, **__: pytest.fail("frames must not be read again"))
    run, _ = run_clip(smoothing=0.0, foot_lock="never")
    assert run.resumed == 40
    (fields,) = results(tmp_path / "out").values()
    (before,) = results(reference[0]).values()
    assert np.abs(fields["poses"] - before["poses"]).max() > 0.01


@pytest.fixture
def still_camera(walk, tmp_path):
    """Writes a camera track of `walk`'s fixed camera.  scale: units per metre.  zoom: factor on the focal length."""
    with np.load(walk.with_suffix(".npz")) as gt:
        rotation, position, intrinsics = gt["world_rotation"], gt["world_translation"], gt["camera"]

    def write(scale=1.0, zoom=1.0, **more):
        content = {
            "recover_mesh": "camera", "version": 1, "frames": [0, 39], "rotation": [rotation.ravel().tolist()] * 2,
            "position": [(position * scale).tolist()] * 2, "image_size": [640, 360],
            "intrinsics": [[intrinsics[0] * zoom, intrinsics[1] * zoom, *intrinsics[2:].tolist()]] * 2, **more,
        }  # fmt: skip
        path = tmp_path / "camera.json"
        path.write_text(json.dumps(content))
        return str(path)

    return write


def test_a_known_camera_uses_the_same_journal(run_clip, walk, reference, tmp_path, still_camera, monkeypatch):
    shutil.copytree(reference[0], tmp_path / "out")
    monkeypatch.setattr(DETECT, lambda *_, **__: pytest.fail("frames must not be read again"))
    run, records = run_clip(camera=still_camera(3.0))
    assert run.resumed == 40
    assert not run.finished_before
    (fields,) = results(tmp_path / "out").values()
    assert fields["scene_scale"] == pytest.approx(3.0, rel=0.08)
    assert fields["camera_rotation"].shape == (40, 3, 3)
    with np.load(walk.with_suffix(".npz")) as gt:
        root = gt["joints"][0][:, 0] @ gt["world_rotation"].T + gt["world_translation"]
    motion, world = motion_from_fields(fields)
    # the scene has 3 units per metre
    gap = np.linalg.norm(world.points(motion.joints[:, 0]) * world.scale / 3.0 - root, axis=1)
    assert gap.mean() < 0.2
    assert abs(world.points(motion.joints[:, [10, 11]])[..., 2].min() - 0.04) < 0.04
    # the provisional bodies are close already
    chunk = next(r for r in records if isinstance(r, ClipChunk) and not r.final)
    assert chunk.world.scale == pytest.approx(3.0, rel=0.15)
    step = len(chunk.frames)
    assert np.linalg.norm(chunk.trans - motion.trans[:step], axis=1).mean() < 0.4
    # a finished run stays finished for this camera: the content of its file counts, not the path
    (tmp_path / "camera.json").rename(tmp_path / "moved.json")
    assert run_clip(0, camera=str(tmp_path / "moved.json"))[0].finished_before
    assert not run_clip(0, camera=still_camera(3.01))[0].finished_before
    assert not run_clip(0, camera=str(tmp_path / "moved.json"), scene_scale=2.0)[0].finished_before
    assert not run_clip(0)[0].finished_before


def test_a_resumed_run_with_a_known_camera_gives_the_same_results(run_clip, reference, tmp_path, still_camera):
    """Even if the camera track was another one while the clip was read."""
    run_clip(1, camera=still_camera(1.0, zoom=1.4))
    run, _ = run_clip(camera=still_camera(1.0))
    assert run.over
    stopped = results(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    shutil.copytree(reference[0] / "journal", tmp_path / "out" / "journal")
    run_clip(camera=still_camera(1.0))
    assert_same(stopped, results(tmp_path / "out"))


def test_a_camera_track_of_another_clip_is_refused_at_once(run_clip, still_camera):
    for change in ({"image_size": [360, 640]}, {"frames": [0, 30]}, {"frames": [3, 39]}, {"version": 7}):
        with pytest.raises(BadInput, check=lambda error: error.code == "bad_camera"):
            run_clip(0, camera=still_camera(**change))
    assert run_clip(0, camera=still_camera(frames=[3, 30]), first=4, last=29)[0].total == 26


def test_a_finished_job_is_not_done_again(run_clip, reference, tmp_path, monkeypatch):
    shutil.copytree(reference[0], tmp_path / "out")
    monkeypatch.setattr("backend.clips.clip_run.finish", lambda *_: pytest.fail("it was finished before"))
    run, records = run_clip()
    assert run.finished_before
    assert [type(r) for r in records] == [ClipPeople, ClipChunk]
    np.testing.assert_array_equal(records[1].poses, reference[1][-1].poses.astype(np.float32))


def test_a_damaged_result_is_written_again(run_clip, reference, tmp_path):
    shutil.copytree(reference[0], tmp_path / "out")
    (tmp_path / "out" / "person1.npz").write_bytes(b"nothing")
    run, _ = run_clip()
    assert run.over
    assert_same(results(tmp_path / "out"), results(reference[0]))


def test_a_moved_clip_resumes_and_another_clip_starts_over(run_clip, walk, tmp_path):
    run_clip(2)
    moved = shutil.copy(walk, tmp_path / "elsewhere.mp4")
    run, _ = run_clip(0, source=str(moved))
    assert run.resumed == 32
    write_video(moved, [np.zeros((64, 64, 3), np.uint8)] * 5)
    run, _ = run_clip(0, source=str(moved))
    assert run.resumed == 0
    assert len(list((tmp_path / "out" / "journal-old").glob("chunk-*.npz"))) == 2


def test_a_full_disk_keeps_the_finished_chunks(run_clip, reference, tmp_path, monkeypatch):
    append = Journal.append

    def full(self, chunk):
        if self.count == 1:
            raise RecoverMeshError("disk_full", "There is no room left.", "Free some space.")
        append(self, chunk)

    monkeypatch.setattr(Journal, "append", full)
    with pytest.raises(RecoverMeshError, check=lambda error: error.code == "disk_full"):
        run_clip()
    monkeypatch.undo()
    run, _ = run_clip()
    assert run.resumed == 16
    assert_same(results(tmp_path / "out"), results(reference[0]))


def test_a_clip_without_people_is_not_an_error(run_clip, tmp_path):
    path = tmp_path / "empty.mp4"
    write_video(path, [np.full((240, 320, 3), 20 * k, np.uint8) for k in range(6)])
    run, records = run_clip(source=str(path))
    assert run.motions == []
    assert (records[-1].final, len(records[-1].frames)) == (True, 0)
    assert run.finished_before is False
    assert run_clip(source=str(path))[0].finished_before


def test_one_frame_and_steps(run_clip):
    run, _ = run_clip(first=7, last=7)
    assert [m.frames.tolist() for m in run.motions] == [[7]]
    run, _ = run_clip(first=2, last=30, step=7)
    assert [m.frames.tolist() for m in run.motions] == [[2, 9, 16, 23, 30]]


def test_a_truncated_file_is_reported_once(run_clip, walk, tmp_path):
    with (
        av.open(str(walk)) as source,
        av.open(str(tmp_path / "cut.mp4"), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    data = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 7 // 10])
    run, records = run_clip(source=str(tmp_path / "cut.mp4"))
    lost = [sentence for record in records if isinstance(record, ClipChunk) for sentence in record.lost]
    assert len(lost) == 1
    assert "cut off" in lost[0]
    assert 10 < len(run.motions[0].frames) < 40


def test_only_the_selected_people_are_recovered(run_clip, reference, tmp_path):
    shutil.copytree(reference[0] / "journal", tmp_path / "out" / "journal")
    with pytest.raises(BadInput, check=lambda error: error.code == "no_person"):
        run_clip(keep=(9,))
    run, _ = run_clip(keep=(1,))
    assert [m.id for m in run.motions] == [1]


def test_a_second_run_in_the_same_folder_is_refused(recoverer, walk, tmp_path):
    job = ClipJobFile(source=str(walk), out=str(tmp_path / "out"))
    first = ClipRun(job, recoverer)
    with pytest.raises(BadInput, check=lambda error: error.code == "job_running"):
        ClipRun(job, recoverer)
    first.close()
    ClipRun(job, recoverer).close()
