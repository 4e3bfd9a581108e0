"""The image whose pull is measured: 160 MB in 6 layers and 23,000 files, the same bytes each time it is made."""

from __future__ import annotations

from tests.images import Recipe

SIX_LAYERS = Recipe(
    "six-layers",
    r"""
python3 - <<'END'
import io, random, tarfile
dice = random.Random(6)
words = [bytes(dice.randrange(97, 123) for _ in range(dice.randrange(2, 11))) for _ in range(4000)]
text = b" ".join(dice.choices(words, k=1_500_000))
noise = dice.randbytes(4_000_000)
# files and bytes of each layer, as in an image that was built: much below, little on top
for number, (files, size) in enumerate(((9000, 70), (6000, 40), (4000, 25), (2500, 15), (1200, 8), (300, 2)), 1):
    with tarfile.open(f"{number}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        mean = size * 1_000_000 // files
        for index in range(files):
            if index % 40 == 0:
                directory = tarfile.TarInfo(f"layer{number}/{index // 40:03}")
                directory.type, directory.mode, directory.mtime = tarfile.DIRTYPE, 0o755, 1700000000
                tar.addfile(directory)
            length = min(int(dice.expovariate(1 / mean)), 4_000_000)
            source = noise if index % 4 == 0 else text
            start = dice.randrange(len(source) - length) if length < len(source) else 0
            entry = tarfile.TarInfo(f"layer{number}/{index // 40:03}/{index:05}")
            entry.size, entry.mtime, entry.uid = length, 1700000000 + index, index % 3
            tar.addfile(entry, io.BytesIO(source[start:start + length]))
END
umoci init --layout layout
umoci new --image layout:latest
for layer in 1 2 3 4 5 6; do umoci raw add-layer --image layout:latest $layer.tar; done
umoci gc --layout layout
""",
)
