"""A client of `harness serve` in Python's standard library: copy it, or read it as the interface in fifty lines.

    harness serve &
    python3 memory.py

Everything it knows of the service is in `openapi.json`, which the server serves too. The class is what a program needs;
below it is a walk through a day of an agent.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path


class Problem(Exception):
    """What the service refuses, with a `code` that stays the same (RFC 9457)."""

    def __init__(self, problem):
        super().__init__(f"{problem.get('detail', 'refused')} ({problem.get('code')}, {problem.get('status')})")
        self.code, self.status = problem.get("code"), problem.get("status")


class Memory:
    """The memory of this machine."""

    def __init__(self, url, token, patience_seconds=30):
        self.url, self.token, self.patience_seconds = url, token, patience_seconds

    @classmethod
    def of_home(cls, home=None):
        """The memory that `harness serve` serves for a home: its `serve.json` says where it is, and where the token is."""
        home = Path(home or os.environ.get("HARNESS_HOME") or Path.home() / ".local/share/harness")
        said = json.loads((home / "serve.json").read_text())
        return cls(said["url"], Path(said["token_file"]).read_text().strip())

    def ask(self, method, path, body=None, key=None):
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        for attempt in range(5):
            try:
                with urllib.request.urlopen(request, timeout=self.patience_seconds) as response:
                    return json.load(response)
            except urllib.error.HTTPError as refusal:
                problem = json.load(refusal)
                # A server that has too much to do says when to come again.
                if refusal.code == 503 and attempt < 4:
                    time.sleep(float(refusal.headers.get("Retry-After") or 1))
                    continue
                raise Problem(problem) from None

    def remember(self, text, tags=(), replaces=None, key=None):
        """Keeps a note; the same key adds nothing the second time, however often a request is sent again."""
        note = {"text": text, "tags": list(tags)} | ({"replaces": replaces} if replaces else {})
        return self.ask("POST", "/v1/notes", note, key or str(uuid.uuid4()))["id"]

    def recall(self, query, **wanted):
        """The answer to a question: `hits`, best first, and how sure it is (`confidence`, 0 to 1)."""
        return self.ask("POST", "/v1/recall", {"query": query} | wanted)

    def context(self, task, budget_tokens=800):
        """What is worth saying about a task, packed for a prompt; empty when nothing is known well enough."""
        return self.ask("POST", "/v1/context", {"task": task, "budget_tokens": budget_tokens})["text"]

    def record_episode(self, situation, tools, outcome, reason=None, lesson=None):
        """Keeps what was tried and how it ended: `success`, `failure` or `unknown`."""
        episode = {"situation": situation, "tools": list(tools), "outcome": outcome, "reason": reason, "lesson": lesson}
        episode = {name: value for name, value in episode.items() if value is not None}
        return self.ask("POST", "/v1/episodes", episode, str(uuid.uuid4()))["id"]

    def say(self, session, *messages):
        """Adds messages to a conversation: pairs of a role (`user`, `assistant`, `tool`) and a text."""
        path = f"/v1/sessions/{urllib.parse.quote(session, safe='')}/messages"
        return self.ask("POST", path, [{"role": role, "text": text} for role, text in messages], str(uuid.uuid4()))

    def records(self, **wanted):
        """All records of a kind, scope or session, page by page; a cursor goes on where the last page ended."""
        while True:
            page = self.ask("GET", "/v1/records?" + urllib.parse.urlencode(wanted, doseq=True))
            yield from page["records"]
            if not page.get("next"):
                return
            wanted["cursor"] = page["next"]

    def forget(self, record):
        """Forgets a record; until the answered time it can be brought back."""
        return self.ask("DELETE", f"/v1/records/{record}")["undo_until"]

    def undo(self, record):
        return self.ask("POST", f"/v1/records/{record}/undo")


def main():
    memory = Memory.of_home(sys.argv[1] if len(sys.argv) > 1 else None)
    first = memory.remember("staging deploys need the VPN", tags=["deploy"])
    memory.remember("上线前先备份数据库", tags=["deploy"])
    memory.say("a-python-day", ("user", "why did the deploy hang?"), ("assistant", "the VPN was down"))
    memory.record_episode("deploy the shop to staging", ["bash", "edit"], "failure", reason="no VPN", lesson="connect first")

    for question in ["what do I need for a deploy to staging?", "上线之前要做什么"]:
        answer = memory.recall(question, limit=3)
        print(question)
        for hit in answer["hits"]:
            print(f"  {hit['score']:.2f}  {hit['kind']:8} {hit['text']}")

    # Something changed: the new statement replaces the old one, and is found before it.
    second = memory.remember("staging deploys need no VPN any more", replaces=first)
    hits = memory.recall("do staging deploys need the VPN?")["hits"]
    assert hits[0]["id"] == second, hits

    until = memory.forget(second)
    assert all(hit["id"] != second for hit in memory.recall("VPN staging")["hits"])
    memory.undo(second)
    print(f"forgotten, and brought back (it could have been until {until})")

    print(f"{sum(1 for _ in memory.records(kind='note', limit=1))} notes")
    print(memory.context("deploy the shop to staging") or "nothing is known well enough to be said")

    try:
        memory.remember("  ")
    except Problem as problem:
        print(f"refused: {problem}")


if __name__ == "__main__":
    main()
