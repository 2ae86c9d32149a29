"""The chart of accounts. A debit is positive, a credit negative; the kind is what stands before the first colon.

| kind | nature | what |
|---|---|---|
| inputs | credit | what was put in, by kind of input: compute, energy, data, people, storage, services |
| assets | debit | what R&D holds: run:ID and model:NAME (in the making), dataset:NAME@N, version:NAME@N (capitalised) |
| amortised, written-off | credit | what of assets:version has been written down, and off: its contra accounts |
| served | debit | cost of serving a version: what its replicas used while busy, and the amortisation |
| idle | debit | what was granted and not used, by owner: run:ID, endpoint:NAME |
| expense | debit | experiments (made nothing), evaluations, maintenance (of retired versions), written-off |
| expense:rate-changes | credit | what a re-rating took back of what had been written down already |
| receivable, revenue | debit, credit | what keys owe, by key; what models earned, by model |
| stored | debit | what keeping blobs costs, by owner: dataset:NAME@N (once versions are made of it), version:NAME@N |
| shared, undistributed | debit | cost that many share, by pool, until it is allocated; what no weight could spread |
| exchange | either | what was given in a foreign currency, and got for it in the books' own |
| emissions | memorandum | grams of CO2 of the electricity used |
| embodied | memorandum | grams of CO2 of making the hardware that was used |
| units | memorandum | quantities without money: requests, tokens, units served and expected; the write-down's method |
"""

from __future__ import annotations

INPUTS = ("compute", "energy", "data", "people", "storage", "services")
MEMORANDUM = "XXX"  # ISO 4217: no currency is involved
EXPERIMENTS = "expense:experiments"
EVALUATIONS = "expense:evaluations"
MAINTENANCE = "expense:maintenance"
WRITTEN_OFF = "expense:written-off"
RATE_CHANGES = "expense:rate-changes"
PLATFORM = "platform"  # the pool of what the machine has and grants to nobody
EMISSIONS = "emissions:electricity"
EMBODIED = "embodied:hardware"


def input_kind(item: str) -> str:
    """`compute.cpu` → `compute`: the item's first word is the kind of input."""
    return item.partition(".")[0]


def inputs(item: str) -> str:
    return f"inputs:{input_kind(item)}"


def run_asset(run: str) -> str:
    return f"assets:run:{run}"


def model_asset(model: str) -> str:
    return f"assets:model:{model}"


def dataset_asset(dataset: str) -> str:
    return f"assets:dataset:{dataset}"


def version_asset(version: str) -> str:
    return f"assets:version:{version}"


def amortised(version: str) -> str:
    return f"amortised:version:{version}"


def written_off(version: str) -> str:
    return f"written-off:version:{version}"


def served(version: str) -> str:
    return f"served:{version}"


def idle_run(run: str) -> str:
    return f"idle:run:{run}"


def idle_endpoint(endpoint: str) -> str:
    return f"idle:endpoint:{endpoint}"


def stored(owner: str) -> str:
    return f"stored:{owner}"


def shared(pool: str) -> str:
    return f"shared:{pool}"


def undistributed(pool: str) -> str:
    return f"undistributed:{pool}"


def exchange(currency: str) -> str:
    return f"exchange:{currency}"


def receivable(key: str) -> str:
    return f"receivable:{key}"


def revenue(model: str) -> str:
    return f"revenue:{model}"


def expected_units(version: str) -> str:
    return f"units:expected:{version}"


def served_units(version: str) -> str:
    return f"units:served:{version}"


def served_tokens(version: str) -> str:
    return f"units:tokens:{version}"


def requests(version: str) -> str:
    return f"units:requests:{version or 'none'}"


def write_down(version: str) -> str:
    """How the version is written down: the item names the method, the quantity is its parameter."""
    return f"units:write-down:{version}"


def written_until(version: str) -> str:
    """Until when, in seconds since the epoch, a version is written down that is written down by time."""
    return f"units:written-until:{version}"
