"""Rates that a tenant starts with: all assumed, and marked so, until it sets its own."""

from __future__ import annotations

_ASSUMED = "assumed default: replace it with `gristmill books rates --item ... --price ... --unit ...`"
_GRID = "assumed: the world's mean grid (IEA, Electricity 2025); replace it with your grid's"
# card, item, unit, price, currency, note. Orders of magnitude of public list prices in 2025: an on-demand
# general-purpose vCPU with memory, an 80 GB GPU, US industrial electricity, object storage; a fully loaded engineer's
# hour. Inference prices are such that demos earn; tokens at those of small open models.
DEFAULTS = (
    ("cost", "compute.cpu", "core_hour", "0.04", "USD", _ASSUMED),
    ("cost", "compute.memory", "gib_hour", "0.005", "USD", _ASSUMED),
    ("cost", "compute.gpu", "gpu_hour", "2.50", "USD", _ASSUMED),
    ("cost", "energy.electricity", "kwh", "0.15", "USD", _ASSUMED),
    ("cost", "people.hours", "person_hour", "80", "USD", _ASSUMED),
    ("cost", "storage.blobs", "gb_month", "0.023", "USD", _ASSUMED),
    ("price", "serving.request", "1k_requests", "0.05", "USD", _ASSUMED),
    ("price", "serving.prediction", "1k_predictions", "0.10", "USD", _ASSUMED),
    ("price", "serving.explanation", "1k_explanations", "5", "USD", _ASSUMED),
    ("price", "serving.token", "1m_tokens", "0.50", "USD", _ASSUMED),
    ("price", "serving.token:cached", "1m_tokens", "0.05", "USD", _ASSUMED),
    ("price", "serving.token:completion", "1m_tokens", "1.50", "USD", _ASSUMED),
    ("emissions", "energy.electricity", "kwh", "445", "g", _GRID),
)
