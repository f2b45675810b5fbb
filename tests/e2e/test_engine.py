"""What is tested here is the compiled engine, not what stands in for it."""

from nearfield import Settings
from nearfield.runtime.native import engine_facts


def test_the_compiled_engine_is_the_one_in_use():
    """Fails where the C extension was not built: its absence must not pass unseen."""
    assert engine_facts()["compiled"], "build it: pip install -e . with a C compiler at hand"
    assert engine_facts()["instruction_set"] in engine_facts()["available"]
    assert Settings.embed_model.backend == "native"
