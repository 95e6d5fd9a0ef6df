"""Room 9 · Messaging: ask, publish, keep the order.

envelope   the version that both sides speak, and the server's time
rpc        a question to one client, and its answer or the reason why there is none
ordering   what a client remembers to miss nothing, and a server to do nothing twice
topics     published once, numbered, recovered or told as a gap
protocol   lab.v1 in writing: messages and numbered conversations, which a test replays
"""

from labkit.messaging.envelope import VERSIONS, choose, negotiate, stamped
from labkit.messaging.ordering import Follower, Once, Place
from labkit.messaging.rpc import Answer, Asks, PeerGone, PeerRefused, Refusal, TooManyQuestions
from labkit.messaging.topics import Publish, Published, SubscribeAfter, Topics, add_topics

__all__ = [
    "VERSIONS",
    "Answer",
    "Asks",
    "Follower",
    "Once",
    "PeerGone",
    "PeerRefused",
    "Place",
    "Publish",
    "Published",
    "Refusal",
    "SubscribeAfter",
    "TooManyQuestions",
    "Topics",
    "add_topics",
    "choose",
    "negotiate",
    "stamped",
]
