"""Room 12 · Production: every number decided, many workers as one, put together.

settings     each default with its unit and its reason; what cannot work does not start
cluster      a client of one server or of many, and one ear for all shards
log          what Valkey keeps of a topic: numbered, kept and published in one step
distributed  the topics of a service, mirrored in each process; recovered at any worker
traces       one trace across the broker, for whoever records traces
stream       one of them as an event stream
rooms        and as chat rooms over WebSockets, in lab.v1
service      one process: everything put together, and taken down again
app          the reference application, `create_app()`
"""

from labkit.production.app import create_app
from labkit.production.distributed import SharedTopics
from labkit.production.log import IdReusedError, TopicLog
from labkit.production.rooms import Rooms, add_rooms
from labkit.production.service import Service
from labkit.production.settings import BadSettings, Settings, load
from labkit.production.stream import TopicBroker

__all__ = [
    "BadSettings",
    "IdReusedError",
    "Rooms",
    "Service",
    "Settings",
    "SharedTopics",
    "TopicBroker",
    "TopicLog",
    "add_rooms",
    "create_app",
    "load",
]
