from collections.abc import Iterator

import msgspec
import pytest

from gristmill.core.types import GrpcServer
from tests import language
from tests.running import free_port
from tests.serving.rig import Bundle, Rig, make_bundle, rig


@pytest.fixture(scope="module")
def grpc_server() -> GrpcServer:
    """Of `served`; a module that wants each has a fixture of this name."""
    return "nghttp2"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, grpc_server: GrpcServer) -> Iterator[Rig]:
    """Endpoint `tiny` (regression, two replicas) and `kinds` (three classes); another tenant's `other`."""
    folder = tmp_path_factory.mktemp("rig")
    regression = make_bundle(folder / "regression")
    classes = make_bundle(folder / "classes", classes=3)
    with rig(folder, free_port(), grpc_port=free_port(), grpc_server=grpc_server) as made:
        pair = [made.add_worker(regression), made.add_worker(regression)]
        made.serve("tiny", ("tiny@1", regression, 100, pair))
        made.serve("kinds", ("kinds@2", classes, 100, [made.add_worker(classes, "kinds@2")]))
        made.serve("org/kinds", ("kinds@2", classes, 100, [made.workers[2]]))
        made.serve("other", ("tiny@1", regression, 100, [pair[0]]), tenant="u")
        made.push()
        made.start_gateway()
        made.wait_ready()
        yield made


@pytest.fixture(scope="package")
def language_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny language model, imported."""
    return Bundle(*language.bundle(tmp_path_factory.mktemp("language")))


@pytest.fixture(scope="package")
def language_served(tmp_path_factory: pytest.TempPathFactory, language_bundle: Bundle) -> Iterator[Rig]:
    """A gateway before two replicas of it, endpoint `tiny`: they take seconds to load, so all tests share them.

    `tools` is the same model, told to be one whose template takes tools: a call that must come is held to its grammar.
    """
    with rig(tmp_path_factory.mktemp("rig"), free_port()) as made:
        workers = [made.add_worker(language_bundle, "tiny@1") for _ in range(2)]
        made.serve("tiny", ("tiny@1", language_bundle, 1, workers))
        made.serve("tools", ("tiny@1", _taking_tools(language_bundle), 1, workers))
        made.push()
        made.wait_ready()
        made.start_gateway()
        yield made


def _taking_tools(bundle: Bundle) -> Bundle:
    facts = bundle.signature.language
    assert facts is not None
    language = msgspec.structs.replace(facts, tools=True)
    return bundle._replace(signature=msgspec.structs.replace(bundle.signature, language=language))
