"""The guide's fifteen items, asked of a real service of the guide's ideas, and of ours."""

from labkit.testing.process import ServerProcess
from labkit.testing.valkey import ValkeyServer
from labkit.workbench.checklist import ITEMS, checklist
from labkit.workbench.ledger import read
from labkit.workbench.probing import Target
from labkit.workbench.reference import QUICK, reference, reference_target
from tests.workbench.services import NAIVE, NAIVE_PARTS, naive_service


async def test_of_the_guide_s_ideas_only_the_heartbeat_is_kept():
    """And that one by uvicorn. The evidence is the same on every run."""
    with ValkeyServer() as valkey:
        options = {"parts": NAIVE_PARTS, "env": {"REDIS_URL": valkey.url}}
        async with (
            ServerProcess(naive_service, **options) as process,
            ServerProcess(naive_service, **options) as sibling,
        ):
            target = Target(process=process, sibling=sibling, valkey=valkey, **NAIVE)
            found = await checklist({"guide": target})
    evidence = {item.id: str(found.found["guide"][item.id]) for item in ITEMS}
    assert evidence == {
        "C1": "✗ 24 connections of one user, none refused",
        "C2": "✗ 400 messages at once, every one answered, never closed",
        "C3": "✗ a stranger is refused, a member reads what is another's",
        "C4": "✗ 2 of 5 bad messages get an error",
        "C5": "✗ ended with 1006 by a mistake, a traceback in the log",
        "C6": "✗ no metrics: HTTP 404",
        "C7": "✗ lines are text",
        "C8": "✗ without its broker: still healthy",
        "C9": "✗ the client is not told, then 1012; the process ends",
        "C10": "✗ what one worker says, the other's clients do not hear",
        "C11": "✗ 0 of 3 headers",
        "C12": "✗ waits for all of a message of 8 MiB",
        "C13": "✗ an unused connection stays",
        "C14": "✓ a peer that answers no ping is cut off",
        "C15": "✗ one of 12 clients is left, and the server does not know it",
    }
    assert found.score("guide") == "1 of 15"


def test_the_items_are_those_of_the_ledger():
    """In its order."""
    assert [item.id for item in ITEMS] == [part.id for part in read().parts_of("checklist")]


async def test_ours_keeps_all_fifteen():
    """The reference application, two workers, one broker."""
    with ValkeyServer() as valkey:
        async with reference(valkey, **QUICK) as one, reference(valkey, **QUICK) as other:
            found = await checklist({"ours": reference_target(one, other, valkey)})
    assert [str(each) for each in found.found["ours"].values() if not each.kept] == []
    assert found.score("ours") == "15 of 15"
