"""Pictures for reports."""

import io

import numpy as np
import pytest
from PIL import Image

from argus.report import crop_seam, encode_jpeg, encode_png, make_contact_sheet, make_strip


def test_the_seam_is_in_the_middle_of_its_crop(picture: np.ndarray) -> None:
    view = crop_seam(picture, share=0.25)
    assert view.shape == (32, 16, 3)
    np.testing.assert_array_equal(view, np.concatenate([picture[:, -8:], picture[:, :8]], axis=1))


def test_a_share_of_one_is_the_whole_sphere(picture: np.ndarray) -> None:
    np.testing.assert_array_equal(crop_seam(picture, share=1), np.roll(picture, 32, axis=1))


@pytest.mark.parametrize("share", [0, 1.5, -1])
def test_an_invalid_share_is_an_error(picture: np.ndarray, share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        crop_seam(picture, share=share)


def test_a_strip_scales_all_panels_to_one_height(picture: np.ndarray) -> None:
    sheet = make_strip({"input": picture, "truth": 255 - picture}, height=64)
    assert sheet.shape == (64 + 28, 2 * 128 + 6, 3)
    shown = sheet[28:, :128].astype(int)
    np.testing.assert_allclose(shown[:, ::2].mean(axis=(0, 1)), picture.mean(axis=(0, 1)), atol=4)
    assert np.ptp(sheet[:28, :128]) > 100, "the label is drawn"


def test_panels_may_have_different_widths(picture: np.ndarray) -> None:
    sheet = make_strip({"square": picture[:, :32], "map": picture}, height=32)
    assert sheet.shape == (32 + 28, 32 + 6 + 64, 3)
    np.testing.assert_array_equal(sheet[28:, 38:], picture)


def test_a_sheet_has_several_rows(picture: np.ndarray) -> None:
    sheet = make_contact_sheet([picture] * 5, columns=2, height=32)
    assert sheet.shape == (3 * 38 - 6, 2 * 70 - 6, 3)
    np.testing.assert_array_equal(sheet[76:108, :64], picture)
    assert len(np.unique(sheet[76:, 70:].reshape(-1, 3), axis=0)) == 1, "the sixth cell is empty"


def test_a_long_label_is_cut_to_its_picture(picture: np.ndarray) -> None:
    long, short = (
        make_contact_sheet([picture, picture], [words, ""], columns=2, height=32)
        for words in ("a very long label indeed", "")
    )
    np.testing.assert_array_equal(long[:, 64:], short[:, 64:])


def test_wrong_numbers_of_pictures_or_labels_are_errors(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="2"):
        make_contact_sheet([picture, picture], ["a"])
    with pytest.raises(ValueError, match="0"):
        make_contact_sheet([])


def test_encoded_pictures_open_again(picture: np.ndarray) -> None:
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(picture)))), picture)
    again = np.asarray(Image.open(io.BytesIO(encode_jpeg(picture, quality=95)))).astype(int)
    assert np.abs(again - picture).mean() < 4
