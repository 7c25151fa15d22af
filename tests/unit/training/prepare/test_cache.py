import errno
from dataclasses import replace

import numpy as np
import pytest

from diagnosis_tool.cxr.preprocess import Geometry, Interpolation, PreprocessSpec
from training.datasets.base import IssueKind
from training.datasets.nih import read_nih
from training.errors import ImagesUnreadable, TrainingFailed
from training.prepare import cache as cache_module
from training.prepare.cache import cached_pixels, spec_sha256

SPEC = PreprocessSpec(
    size_px=32,
    geometry=Geometry.STRETCH,
    interpolation=Interpolation.BILINEAR,
    window_low_percentile=0.5,
    window_high_percentile=99.5,
)


def test_one_byte_a_pixel_in_the_order_of_the_records(nih_folder, tmp_path):
    records = read_nih(nih_folder).records
    cache = cached_pixels(records, SPEC, tmp_path)
    assert cache.pixels_NHW.shape == (len(records), 32, 32)
    assert cache.pixels_NHW.dtype == np.uint8
    assert cache.images == tuple(record.image for record in records)
    np.testing.assert_array_equal(cache.rows_of([cache.images[3], cache.images[0]]), [3, 0])
    assert sum(f.stat().st_size for f in tmp_path.rglob("*.u8")) == len(records) * 32 * 32


def test_second_call_decodes_nothing(nih_folder, tmp_path, monkeypatch):
    records = read_nih(nih_folder).records
    first = cached_pixels(records, SPEC, tmp_path)
    monkeypatch.setattr(cache_module, "read_radiograph", lambda _: pytest.fail("decoded again"))
    np.testing.assert_array_equal(cached_pixels(records, SPEC, tmp_path).pixels_NHW, first.pixels_NHW)


def test_another_spec_or_a_changed_file_is_another_cache(own_nih_folder, tmp_path):
    folder = tmp_path / "cache"
    records = read_nih(own_nih_folder).records
    cached_pixels(records, SPEC, folder)
    cached_pixels(records, replace(SPEC, window_high_percentile=99.0), folder)
    records[0].path.write_bytes(records[1].path.read_bytes())
    cached_pixels(records, SPEC, folder)
    assert len(list(folder.iterdir())) == 3
    assert spec_sha256(SPEC) != spec_sha256(replace(SPEC, size_px=33))


def test_unreadable_images_are_named_and_only_left_out_when_asked(own_nih_folder, tmp_path):
    records = read_nih(own_nih_folder).records
    records[1].path.write_bytes(records[1].path.read_bytes()[:200])
    with pytest.raises(ImagesUnreadable, match=rf"1 of 6 .*{records[1].image}"):
        cached_pixels(records, SPEC, tmp_path)
    cache = cached_pixels(records, SPEC, tmp_path, skip_unreadable=True)
    assert len(cache.pixels_NHW) == 5
    assert [(i.kind, i.image) for i in cache.issues] == [(IssueKind.UNREADABLE, records[1].image)]
    with pytest.raises(KeyError):
        cache.rows_of([records[1].image])


def test_duplicates_by_content_are_listed_and_kept(own_nih_folder, tmp_path):
    records = read_nih(own_nih_folder).records
    records[2].path.write_bytes(records[0].path.read_bytes())
    cache = cached_pixels(records, SPEC, tmp_path)
    assert [(i.kind, i.image, i.detail) for i in cache.issues] == [
        (IssueKind.DUPLICATE, records[2].image, f"same pixels as {records[0].image}")
    ]
    assert len(cache.images) == 6


def test_a_full_disk_leaves_nothing_behind(own_nih_folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module, "_build", full)
    with pytest.raises(TrainingFailed, match="disk is full"):
        cached_pixels(read_nih(own_nih_folder).records, SPEC, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
