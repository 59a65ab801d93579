"""Clients under way: threads that send commands, record what was acknowledged, and retry what was not answered."""

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import sleep
from typing import Any

import httpx

from tests.faults.commands import Acknowledged, Asked, Refused, Unacceptable, Unanswered, command, send
from tests.faults.processes import PATIENCE, until

CLIENTS = 6
SHARED_EMAILS = 12
"""Addresses that all clients want for their customers: one customer can have each."""
REQUEST = 60.0
"""Seconds that a request may take: more than every wait inside the server."""


class Load:
    """What the clients of one campaign have sent, and what they were told."""

    def __init__(self, urls: Sequence[str], seed: int, clients: int = CLIENTS) -> None:
        self.urls, self.seed = urls, seed
        self.acknowledged: list[tuple[Asked, Acknowledged]] = []
        self.refused: list[tuple[Asked, Refused]] = []
        self.unanswered = Counter[str]()
        self.complaints: list[str] = []
        self.stopping = threading.Event()
        self.shared: list[str] = []
        self.pipeline = ""
        self._lock = threading.Lock()
        self._clients = [_Client(self, number) for number in range(clients)]

    def note(self, asked: Asked, answer: Acknowledged | Refused | Unanswered | Unacceptable) -> None:
        with self._lock:
            match answer:
                case Acknowledged():
                    self.acknowledged.append((asked, answer))
                case Refused():
                    self.refused.append((asked, answer))
                case Unanswered(why):
                    self.unanswered[why] += 1
                case Unacceptable(why):
                    self.complaints.append(why)

    @property
    def behind(self) -> int:
        """How many commands were done but could not be shown, because the read models had not come so far."""
        return sum(answer.id is None for _, answer in self.known())

    def known(self) -> list[tuple[Asked, Acknowledged]]:
        """What is acknowledged by now."""
        with self._lock:
            return [*self.acknowledged]

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Clients work for as long as the block lasts; at its end every command has had its answer."""
        self._begin()
        for client in self._clients:
            client.start()
        try:
            yield
        finally:
            self.stopping.set()
            for client in self._clients:
                client.join(PATIENCE)
        late = [client.name for client in self._clients if client.is_alive()]
        assert not late, f"{late} got no answer in {PATIENCE:.0f} seconds"
        assert not self.complaints, "\n".join(self.complaints)

    def wait_for_more(self, commands: int) -> None:
        """Wait until so many more commands are acknowledged than now."""
        goal = len(self.acknowledged) + commands
        until(lambda: self.complaints or len(self.acknowledged) >= goal, f"{commands} more commands are acknowledged")

    def _begin(self) -> None:
        """What all clients work on."""
        numbers = random.Random(f"{self.seed}")
        stages = [{"name": "New", "probability": "10"}, {"name": "Agreed", "probability": "80"}]
        with httpx.Client(timeout=REQUEST) as http:
            asked = [command(numbers, "pipelineDefine", "pipeline", name="Sales", currency="EUR", stages=stages)]
            asked += [
                command(numbers, "customerRegister", "customer", kind="PERSON", name=name)
                for name in ("Ada", "Grace", "Katherine")
            ]
            for one in asked:
                answer = send(http, self.urls[0], one)
                self.note(one, answer)
                assert isinstance(answer, Acknowledged), answer
                assert answer.id is not None, answer
                if one.noun == "customer":
                    self.shared.append(answer.id)
                else:
                    self.pipeline = answer.id


class _Client(threading.Thread):
    """Sends one command after the other, each until it is answered."""

    def __init__(self, load: Load, number: int) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self._load, self._random = load, random.Random(f"{load.seed}:{number}")
        self._label = f"{load.seed}-{number}"
        self._count = 0
        self._own: dict[str, list[str]] = {"customer": [], "ticket": [], "opportunity": []}
        self._names: dict[str, str] = {}

    def run(self) -> None:
        try:
            with httpx.Client(timeout=REQUEST) as http:
                while not self._load.stopping.is_set():
                    self._see_through(http, self._next())
        except Exception as error:
            self._load.complaints.append(f"{self.name}: {error!r}")
            raise

    def _see_through(self, http: httpx.Client, asked: Asked) -> None:
        while True:
            answer = send(http, self._random.choice(self._load.urls), asked)
            self._load.note(asked, answer)
            if not isinstance(answer, Unanswered):
                break
            sleep(0.2)  # not to hammer a server that is being started
        # Where a new record could not be shown, its id is not known, and it is left alone from then on.
        if isinstance(answer, Acknowledged) and (id := asked.input.get("id", answer.id)) is not None:
            self._remember(asked, id)

    def _remember(self, asked: Asked, id: str) -> None:
        if asked.mutation in ("customerRegister", "ticketOpen", "opportunityOpen"):
            self._own[asked.noun].append(id)
        if asked.mutation == "customerArchive":
            self._own["customer"].remove(id)
        elif name := asked.input.get("name"):
            self._names[id] = name

    def _next(self) -> Asked:
        self._count += 1
        numbers, mark = self._random, f"{self._label}-{self._count}"
        customers, tickets, deals = self._own["customer"], self._own["ticket"], self._own["opportunity"]
        if len(customers) < 2:
            return self._register(mark)
        if not deals:
            return self._open(mark)
        customer: dict[str, Any] = {"id": numbers.choice(customers)}
        match numbers.choices(range(10), (4, 5, 2, 2, 1, 1, 2, 2, 1, 2))[0]:
            case 0:
                return self._register(mark)
            case 1:
                shared = numbers.choice(self._load.shared)
                return command(numbers, "customerAddNote", "customer", id=shared, text=f"Note {mark}")
            case 2:
                return command(numbers, "customerRename", "customer", name=f"Customer {mark}", **customer)
            case 3:
                return command(numbers, "customerAddTag", "customer", tag=f"tag {mark}", **customer)
            case 4:
                same = self._names[customer["id"]]
                return command(numbers, "customerRename", "customer", events=0, name=same, **customer)
            case 5:
                return command(numbers, "customerArchive", "customer", **customer)
            case 6:
                of, subject = customer["id"], f"Question {mark}"
                return command(numbers, "ticketOpen", "ticket", customer=of, subject=subject, channel="EMAIL")
            case 7 if tickets:
                ticket = numbers.choice(tickets)
                return command(numbers, "ticketReceiveReply", "ticket", id=ticket, text=f"Reply {mark}")
            case 8:
                return self._open(mark)
            case _:
                amount = f"{self._count}.50"
                deal = numbers.choice(deals)
                return command(
                    numbers, "opportunityChangeAmount", "opportunity", id=deal, amount=amount, currency="EUR"
                )

    def _register(self, mark: str) -> Asked:
        shared = self._random.random() < 0.2
        email = f"{self._random.randrange(SHARED_EMAILS)}@shared.example" if shared else f"{mark}@example.com"
        return command(
            self._random,
            "customerRegister",
            "customer",
            may_be_refused="EMAIL_TAKEN" if shared else None,
            kind="PERSON",
            name=f"Customer {mark}",
            contactPoints=[{"kind": "EMAIL", "value": email}],
        )

    def _open(self, mark: str) -> Asked:
        of = self._load.pipeline
        return command(self._random, "opportunityOpen", "opportunity", title=f"Deal {mark}", pipeline=of)
