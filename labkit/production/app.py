"""The reference application: `uvicorn --factory labkit.production.app:create_app`.

    GET  /             the page: a chat room in the browser
    WS   /ws           lab.v1 (rooms 9 and 12): rooms `room:…`, private notes `user:<name>`
    GET  /events       ?topic=…: the same topic as an event stream, from `Last-Event-ID` on
    POST /login        {"user": …}: a token and a cookie, for anybody. A demonstration, which
                       `LABKIT_DEMO_LOGIN=false` takes away: then tokens come from elsewhere
    POST /ticket       a ticket for one connection, for clients that can set no header
    POST /logout       withdraw the token, at every worker
    POST /publish      {"topic": …, "text": …, "id": …}: say something without a WebSocket
    GET  /metrics /livez /readyz

    Who:     a token in the header, `?ticket=…`, or our page's cookie. Otherwise 401, or 4500.
    Resume:  an id that is old, foreign or nonsense is answered with a gap and the present
             position, never with an error. Where no header can be set, `?after=…` is the same.

Chapter 12.
"""

from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response, WebSocket
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection
from starlette.routing import Route

from labkit.architecture.codes import CloseCode
from labkit.architecture.messages import Topic
from labkit.auth.access import Action
from labkit.auth.gate import ForeignOrigin
from labkit.auth.stream import guarded_stream
from labkit.auth.tokens import AuthUnavailable, Identity
from labkit.connections import AtCapacity, Drainable, one_slot
from labkit.messaging.envelope import VERSIONS, choose, negotiate
from labkit.monitoring import Scrape, told
from labkit.performance import DirectSend
from labkit.production.log import IdReusedError
from labkit.production.service import Service
from labkit.production.settings import Settings, load
from labkit.production.stream import TopicBroker
from labkit.security import OriginGuard, SecurityHeaders, Throttle
from labkit.security.validation import Text
from labkit.sse.broker import BrokerUnavailableError
from labkit.websocket import Session

PAGE = {"": "text/html", "page.js": "text/javascript", "page.css": "text/css"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Login(_Body):
    """Who somebody says they are."""

    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]


class Said(_Body):
    """What is said without a WebSocket."""

    topic: Topic
    text: Text
    id: Annotated[str, Field(min_length=1, max_length=64)] | None = None


def create_app(settings: Settings | None = None) -> FastAPI:
    """Put the service together.

    Args:
        settings: read from the environment when None.

    Raises:
        BadSettings: they cannot work; the message has one line for each that is wrong.
    """
    service = Service(settings or load())
    app = FastAPI(lifespan=service.lifespan, title="labkit", docs_url=None, redoc_url=None)
    app.state.service = service
    app.include_router(service.health.router)
    app.router.routes.append(Route("/metrics", Scrape(service.metrics.registry)))
    add_page(app)
    add_doors(app, service)
    add_publishing(app, service)
    add_socket(app, service)
    add_stream(app, service)
    for outage in (BrokerUnavailableError, AuthUnavailable):
        app.add_exception_handler(outage, _unavailable)
    app.add_middleware(DirectSend)  # the innermost: the others see all that passes
    app.add_middleware(SecurityHeaders)
    app.add_middleware(
        OriginGuard, allowed=service.settings.own_origins, missing="allow"
    )  # programs name none: they show a credential that is no cookie
    app.add_middleware(Drainable, drain=service.drain)
    return app


def add_page(app: FastAPI) -> None:
    """Serve the page and its two parts, and no icon."""
    app.add_api_route("/favicon.ico", lambda: Response(status_code=204), include_in_schema=False)
    for name, kind in PAGE.items():
        content = (files(__package__) / (name or "page.html")).read_bytes()
        response = Response(content, media_type=kind)
        app.add_api_route(f"/{name}", lambda response=response: response, include_in_schema=False)


def add_login(app: FastAPI, service: Service, spend: Any) -> None:  # noqa: ANN401 - a dependency
    """Let anybody in under any name: for the demonstration alone."""

    @app.post("/login", dependencies=[spend])
    async def login(body: Login, request: Request, response: Response) -> dict[str, Any]:
        lifetime_s = service.settings.token_s
        token = service.tokens.issue(body.user, lifetime_s=lifetime_s)
        response.set_cookie(
            service.cookie_name(request), token, max_age=round(lifetime_s), httponly=True,
            secure=request.url.is_secure, samesite="strict",
        )  # fmt: skip
        return {"user": body.user, "token": token, "expires_in_s": lifetime_s}


def add_doors(app: FastAPI, service: Service) -> None:
    """Serve what hands out credentials and takes them back."""
    Who = Annotated[Identity, Depends(_identify(service))]  # noqa: N806 - a type

    async def spend(request: Request) -> None:
        address = request.client.host if request.client else "local"
        if not await service.logins.spend(f"address:{address}"):
            raise HTTPException(429, "too many logins: try again later", {"Retry-After": "10"})

    if service.settings.demo_login:
        add_login(app, service, Depends(spend))

    @app.post("/ticket", dependencies=[Depends(spend)])
    async def ticket(identity: Who) -> dict[str, str]:
        return {"ticket": await service.tickets.issue(identity)}

    @app.post("/logout")
    async def logout(identity: Who, request: Request, response: Response) -> dict[str, bool]:
        await service.withdraw(identity.token_id)
        response.delete_cookie(service.cookie_name(request))
        return {"withdrawn": True}


def add_publishing(app: FastAPI, service: Service) -> None:
    """Serve publishing by request."""
    Who = Annotated[Identity, Depends(_identify(service))]  # noqa: N806 - a type

    @app.post("/publish")
    async def publish(body: Said, identity: Who) -> dict[str, str]:
        if not service.access.ask(identity.user, Action.PUBLISH, body.topic):
            raise HTTPException(403, "you may not publish there")
        if not await service.posts.spend(f"user:{identity.user}"):
            raise HTTPException(429, "too many messages: try again later", {"Retry-After": "10"})
        try:
            at = await service.rooms.say(body.topic, identity.user, body.text, once=body.id)
        except IdReusedError as error:
            raise HTTPException(409, str(error)) from None
        return {"at": str(at)}


async def _unavailable(_request: Request, _error: Exception) -> Response:
    return Response("not available now: try again later", 503, {"Retry-After": "1"})


def _identify(service: Service) -> Any:  # noqa: ANN401 - a dependency
    async def identify(connection: HTTPConnection) -> Identity:
        try:
            credentials, verify = service.door(connection)
        except ForeignOrigin:
            raise service.gate.foreign() from None
        identity = await service.gate.http(credentials, verify)
        connection.state.identity = identity
        return identity

    return identify


def add_socket(app: FastAPI, service: Service) -> None:
    """Serve WebSockets."""

    @app.websocket("/ws", dependencies=[Depends(one_slot(service.places))])
    async def ws(websocket: WebSocket) -> None:
        if choose(websocket.scope.get("subprotocols") or ()) is None:
            await negotiate(websocket)  # says which versions there are, and closes
            return
        credentials, verify = service.door(websocket)
        identity = await service.gate.websocket(
            websocket, credentials, verify, subprotocol=VERSIONS[0]
        )
        if identity is None:
            service.metrics.refused("credentials")
            return
        try:
            place = service.users.reserve(user=identity.user)
        except AtCapacity as full:
            service.metrics.refused("full")
            await websocket.close(CloseCode.TRY_AGAIN_LATER, str(full))
            return
        with place, service.live.lease(identity) as lease, service.metrics.session() as visit:
            session = Session(
                websocket=websocket,
                manager=service.manager,
                on_text=Throttle(service.idle.counting(service.router), service.rate),
                on_open=lease.hold,
                user=identity.user,
                limits=service.limits,
            )
            with told(websocket, visit):
                await visit.run(session)


def add_stream(app: FastAPI, service: Service) -> None:
    """Serve event streams."""
    identify = _identify(service)
    one_of_user = one_slot(service.users, user_of=lambda each: each.state.identity.user)

    def open_stream(
        request: Request, topic: str, identity: Annotated[Identity, Depends(identify)]
    ) -> Response:
        after = request.query_params.get("after")
        if after is not None and "last-event-id" not in request.headers:
            request.scope["headers"] = [
                *request.scope["headers"], (b"last-event-id", after.encode())
            ]  # fmt: skip
            request = Request(request.scope, request.receive)
        return guarded_stream(
            request, TopicBroker(service.topics, topic), [topic], identity=identity,
            live=service.live, access=service.access, options=service.stream_options,
        )  # fmt: skip

    async def counted(request: Request) -> AsyncIterator[None]:
        with service.metrics.session("sse") as visit, told(request, visit):
            yield

    @app.get("/events", dependencies=[Depends(one_slot(service.places))])
    async def events(
        stream: Annotated[Response, Depends(open_stream)],
        _place: Annotated[object, Depends(one_of_user)],
        _counted: Annotated[None, Depends(counted)],
    ) -> Any:  # noqa: ANN401 - a response of its own
        return stream
