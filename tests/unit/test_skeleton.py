import subprocess
import sys

import torch

from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.nn.skeleton import skeleton


def test_names_and_shapes_without_memory() -> None:
    with skeleton():
        bare = LRHDR(LRHDRConfig())
    built = LRHDR(LRHDRConfig())
    assert {k: v.shape for k, v in bare.state_dict().items()} == {k: v.shape for k, v in built.state_dict().items()}
    assert {p.device.type for p in bare.parameters()} == {"meta"}
    assert float(torch.empty(8).normal_().std()) > 0.0  # outside, values are drawn as ever


def test_loading_weights_does_not_import_the_compiler() -> None:
    code = (
        "import sys; from lrhdr.weights import load_pretrained; from lrhdr.interpolate import get_interpolator; "
        "load_pretrained('compact-2exp'); get_interpolator('compact'); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
