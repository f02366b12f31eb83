import json

import pytest
from make_vg import NAMES, TEST, TRAIN, UNLISTED, write_vg

from satl.core.errors import UserError
from satl.data.vg.names import derive_names


@pytest.fixture
def folder(tmp_path):
    return write_vg(tmp_path / "vg")


def derive(folder, categories=4, by_hand=None):
    return derive_names(folder / "index.json", folder / "objects.json", categories, by_hand)


def write_pair(folder, index, objects):
    """Index {number: indices} and objects {number: first names}, as the two files say them."""
    folder.mkdir()
    (folder / "index.json").write_text(json.dumps({f"{n}.jpg": i for n, i in index.items()}))
    content = [
        {"image_id": number, "objects": [{"names": [name, "second"]} for name in names]}
        for number, names in objects.items()
    ]
    (folder / "objects.json").write_text(json.dumps(content))
    return folder


def test_names_are_found_among_noise(folder):
    derived = derive(folder)
    assert tuple(derived["categories"]) == NAMES
    assert derived["images"] == TRAIN + TEST + UNLISTED
    assert derived["images_without_objects"] == 0
    assert derived["weakest"] == min(derived["matches"], key=lambda match: match["overlap"])
    assert 0.5 < derived["weakest"]["overlap"] < 1


def test_the_overlap_is_the_jaccard_index(tmp_path):
    index = {1: [0], 2: [0], 3: [0], 4: [1], 5: [1]}
    objects = {
        1: ["Man", "man "], 2: ["man", "hat"], 3: ["hat"], 4: ["traffic   light", "MAN"],
        5: ["Traffic Light"], 99: ["man"],
    }  # fmt: skip
    derived = derive(write_pair(tmp_path / "d", index, objects), 2)
    man, light = derived["matches"]
    assert (man["name"], man["overlap"]) == ("hat", 2 / 3)
    assert (man["runner_up"], man["runner_up_overlap"]) == ("man", 2 / 4)
    assert (light["name"], light["overlap"]) == ("traffic light", 1.0)
    assert derived["weakest"] == man


def test_images_without_objects_are_counted_and_lower_the_overlap(tmp_path):
    folder = write_pair(tmp_path / "d", {1: [0], 2: [0], 3: [0]}, {1: ["man"], 2: ["man"]})
    derived = derive(folder, 1)
    assert derived["images_without_objects"] == 1
    assert derived["weakest"]["overlap"] == pytest.approx(2 / 3)
    assert derived["weakest"]["runner_up"] is None


def test_indices_that_are_not_kept_neither_need_nor_take_a_name(tmp_path):
    folder = write_pair(tmp_path / "d", {1: [0, 7], 2: [0, 7], 3: [7]}, {1: ["man"], 2: ["man"]})
    assert derive(folder, 1)["categories"] == ["man"]


WEAK = ({1: [0], 2: [0], 3: [0], 4: [1]}, {1: ["man"], 2: ["boy"], 3: ["hat"], 4: ["tree"]})
CLASH = ({1: [0, 1], 2: [0, 1], 3: [1], 4: [2]}, {1: ["man"], 2: ["man"], 4: ["tree"]})
TIE = ({1: [0], 2: [1]}, {1: ["man", "boy"], 2: ["tree"]})


def test_a_weak_match_is_named_with_its_candidates(tmp_path):
    message = r"1 of 2 categories .*\n  index 0 \(3 images\): no name overlaps by 0\.5; nearest: "
    with pytest.raises(UserError, match=message + "'boy' 0.33, 'hat' 0.33, 'man' 0.33"):
        derive(write_pair(tmp_path / "d", *WEAK), 2)


def test_two_indices_of_one_name_are_named(tmp_path):
    with pytest.raises(UserError) as error:
        derive(write_pair(tmp_path / "d", *CLASH), 3)
    assert "2 of 3 categories" in str(error.value)
    assert "index 0 (2 images): 'man' is also the name of index 1; nearest: 'man' 1.00" in str(
        error.value
    )
    assert "index 1 (3 images): 'man' is also the name of index 0; nearest: 'man' 0.67" in str(
        error.value
    )


def test_two_names_of_one_overlap_are_named(tmp_path):
    with pytest.raises(UserError, match=r"index 0 .*two names overlap equally; nearest: 'boy'"):
        derive(write_pair(tmp_path / "d", *TIE), 2)


@pytest.mark.parametrize(
    ("files", "categories", "by_hand", "expected"),
    [
        (WEAK, 2, {0: "Human Being "}, ["human being", "tree"]),
        (CLASH, 3, {1: "person"}, ["man", "person", "tree"]),
        (TIE, 2, {0: "man"}, ["man", "tree"]),
    ],
)
def test_names_by_hand_settle_it(tmp_path, files, categories, by_hand, expected):
    derived = derive(write_pair(tmp_path / "d", *files), categories, by_hand)
    assert derived["categories"] == expected
    (index,) = by_hand
    assert derived["by_hand"] == {str(index): expected[index]}
    assert derived["weakest"]["index"] != index


def test_names_by_hand_keep_their_own_overlap(tmp_path):
    first, _ = derive(write_pair(tmp_path / "d", *TIE), 2, {0: "man"})["matches"]
    assert (first["overlap"], first["runner_up"], first["by_hand"]) == (1.0, "boy", True)


@pytest.mark.parametrize(
    ("by_hand", "message"),
    [
        ({4: "cat"}, r"index 4 \('cat'\) is none of the 4 categories"),
        ({1: "  "}, "the name of index 1 is empty"),
        ({1: "Tree"}, r"index 1 .*'tree' is also the name of index 2.*\n  index 2 "),
    ],
)
def test_wrong_names_by_hand(folder, by_hand, message):
    with pytest.raises(UserError, match=message):
        derive(folder, by_hand=by_hand)


def test_foreign_or_malformed_files_are_named(folder):
    with pytest.raises(UserError, match=r"index\.json: category indices 4, 5 occur in no image"):
        derive(folder, 6)
    with pytest.raises(UserError, match="categories: must be at least 1"):
        derive(folder, 0)
    objects = folder / "objects.json"
    objects.write_text('[{"image_id": 999, "objects": []}]')
    with pytest.raises(UserError, match=r"objects\.json: has none of the 40 images"):
        derive(folder)
    objects.write_text('[{"image_id": 2, "objects": []}]')
    with pytest.raises(UserError, match=r"index 3 .*no name overlaps by 0\.5; nearest: none"):
        derive(folder)
    for entry in (
        '{"id": 2}',
        '{"image_id": "x", "objects": []}',
        '{"image_id": 2, "objects": [{"name": "tree"}]}',
        '{"image_id": 2, "objects": [{"names": [3]}]}',
    ):
        objects.write_text(f'[{{"image_id": 5, "objects": []}}, {entry}]')
        with pytest.raises(UserError, match=r"objects\.json: entry 1 is not of the form"):
            derive(folder)
    objects.unlink()
    with pytest.raises(UserError, match=r"objects\.json: no such file of objects"):
        derive(folder)
