"""Attestation: what folding records again and comparing them with their rows costs."""

import time

import psutil  # type: ignore[import-untyped]
import psycopg

from benchmarks import company
from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Section
from infra.settings import ATTESTED_PER_SECOND
from projections.attesting import Attestor, prepare_to_attest, records_of
from projections.rebuild import rebuild
from projections.registry import models
from projections.tables import install


def run(laboratory: Laboratory) -> Section:
    with laboratory.book() as parts:
        laboratory.say("attesting: making a book")
        company.enter_company(parts, laboratory.scale.customers)
        with psycopg.connect(parts.conninfo, autocommit=True) as owner:
            install(owner, models)
            for model in models:
                rebuild(parts.conninfo, parts.mapper, model)
            owner.execute("ANALYZE")
        with psycopg.connect(parts.logins.posting, autocommit=True) as db:
            prepare_to_attest(db)
            attestor, many = Attestor(parts.mapper, models), records_of(ATTESTED_PER_SECOND)
            attestor.round(db, many)
            backend = psutil.Process(db.info.backend_pid)
            ours, theirs, began = time.process_time(), _cpu(backend), time.perf_counter()
            entries = records = 0
            for _ in range(20 * laboratory.scale.rounds):
                looked = attestor.round(db, many)
                assert not looked.mismatches
                entries, records = entries + looked.entries, records + len(looked.records)
            seconds = time.perf_counter() - began
            python, postgres = time.process_time() - ours, _cpu(backend) - theirs
    each_second = ATTESTED_PER_SECOND * (python + postgres) / entries
    return Section(
        "Attestation",
        [
            Figure("entries folded and compared, at full speed", entries / seconds, "/s"),
            Figure("CPU for an entry, ours", 1000 * python / entries, "ms"),
            Figure("CPU for an entry, PostgreSQL's", 1000 * postgres / entries, "ms"),
            Figure(f"CPU each second at the default, {ATTESTED_PER_SECOND} entries", 1000 * each_second, "ms"),
        ],
        [
            (
                "Rounds as the worker makes them, without their pauses: half of the records are drawn at entries"
                f" anywhere in the book, so many that have many. A record had {2 * entries / records:.0f} entries."
            )
        ],
    )


def _cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)
