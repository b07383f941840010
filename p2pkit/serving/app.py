"""The requests that are answered."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import FastAPI, Path, Query, Request, Response
from starlette.types import Lifespan
from torch import Tensor

import p2pkit
from p2pkit.errors import Problem
from p2pkit.images.convert import to_network, to_picture
from p2pkit.images.files import image_bytes, image_tensor
from p2pkit.images.limits import TooLarge, limited
from p2pkit.inference.sources import Taken
from p2pkit.serving.batching import Batcher
from p2pkit.serving.kinds import KINDS, check_sent, sent_suffix, wanted_kind
from p2pkit.serving.limits import Limits, read_body, unless_gone
from p2pkit.serving.metrics import MEDIA, Metrics
from p2pkit.serving.models import Served
from p2pkit.serving.pages import docs_page, page_files
from p2pkit.serving.problems import MEDIA as PROBLEM
from p2pkit.serving.problems import ProblemDetails, Refused, handle_problems
from p2pkit.serving.settings import Settings
from p2pkit.untyped import Json

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_REFUSALS: dict[int | str, dict[str, Json]] = {
    status: {"description": text, "content": {PROBLEM: {"schema": ProblemDetails.model_json_schema()}}}
    for status, text in {
        400: "The image can't be read, or made a source.",
        404: "There is no such model.",
        406: "No kind that is accepted can hold the fake.",
        408: "The body has not come in time.",
        413: "The body or the image is too large.",
        415: "The body is no image that is taken.",
        429: "Too many requests.",
    }.items()
}
_MISSING: dict[int | str, dict[str, Json]] = {404: _REFUSALS[404], 429: _REFUSALS[429]}
Name = Annotated[str, Path(description="A model's name.")]


def make_app(
    models: Mapping[str, Served], settings: Settings | None = None, *, note: Callable[[str], None] = lambda text: None
) -> FastAPI:
    """Make the application that answers for models.

    Args:
        models: The models by name.
        settings: What is allowed.
        note: Hears of errors that nobody foresaw.
    """
    settings = settings or Settings()
    desk = Desk(models, settings)
    app = _App(
        title="p2pkit serve",
        version=p2pkit.__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=desk.lifespan(),
    )
    app.add_middleware(Limits, settings=settings)
    handle_problems(app, note)
    _add_models(app, desk)
    _add_translate(app, desk)
    _add_pages(app, desk)
    return app


class _App(FastAPI):
    """An app that answers queries that can't be read as all other mistakes, by 400, and says so."""

    def openapi(self) -> dict[str, Json]:
        """Describe the app."""
        described = super().openapi()
        for about in (each for methods in described["paths"].values() for each in methods.values()):
            if about["responses"].pop("422", None) is not None:
                about["responses"].setdefault("400", _REFUSALS[400])
            about["responses"].setdefault("429", _REFUSALS[429])
        return described


class Desk:
    """From the bytes of a source to those of its fake.

    Args:
        models: The models by name.
        settings: What is allowed.
    """

    def __init__(self, models: Mapping[str, Served], settings: Settings) -> None:
        self.models, self.settings, self.metrics = models, settings, Metrics()
        self._batchers: dict[str, Batcher] = {}
        self._files = asyncio.Semaphore(4)

    def lifespan(self) -> Lifespan[FastAPI]:
        """Return what runs while the app does: a queue for each model, and a thread that computes.

        It is one thread for all of them: torch uses every core by itself, and has one source of noise.
        """

        @asynccontextmanager
        async def live(_: FastAPI) -> AsyncIterator[None]:
            with ThreadPoolExecutor(1, "p2pkit-translate") as worker:
                wait = self.settings.max_wait / 1000
                for name, served in self.models.items():
                    seen = self.metrics.batches.labels(name).observe
                    translate = served.translator.fakes
                    batcher = Batcher(translate, worker, batch=self.settings.batch, wait=wait, seen=seen)
                    self.metrics.waiting.labels(name).set_function(lambda batcher=batcher: batcher.waiting)
                    self._batchers[name] = batcher
                tasks = [asyncio.create_task(batcher.run()) for batcher in self._batchers.values()]
                try:
                    yield
                finally:
                    for task in tasks:
                        task.cancel()
                    worker.shutdown(wait=False, cancel_futures=True)

        return live

    def model(self, name: str) -> Served:
        """Return a model.

        Raises:
            Refused: There is none of this name.
        """
        if name not in self.models:
            remedy = f"there are: {', '.join(self.models)}"
            raise Refused(HTTPStatus.NOT_FOUND, Problem("path.name", f"there is no model {name!r}", remedy))
        return self.models[name]

    async def translate(
        self, served: Served, request: Request, size: tuple[int, int] | None, given: Given, picture: bool
    ) -> Response:
        """Answer a request with a fake."""
        begun = time.perf_counter()
        images = served.translator.images
        kind, suffix = wanted_kind(request.headers.get("accept", ""), images.target, picture=picture)
        asked = await self.read(served, request, size, given, suffix)

        def write(fake: Tensor) -> bytes:
            if picture:
                shown = to_picture(to_network(fake[None], images.target)[0], images.target)
                return image_bytes(image_tensor(shown), suffix)
            return image_bytes(fake, suffix, tags=asked.tags, beside=asked.beside)

        fake = await unless_gone(request, self._batchers[served.name].fake(asked.source))
        async with self._files:
            made = await asyncio.to_thread(write, fake)
        self.metrics.seconds.labels(served.name).observe(time.perf_counter() - begun)
        return Response(made, media_type=kind, headers={"vary": "accept"})

    async def read(
        self, served: Served, request: Request, size: tuple[int, int] | None, given: Given, suffix: str
    ) -> Taken:
        """Read the source that a request brings.

        Args:
            served: Whose source it is to be.
            request: The request.
            size: Height and width to resize it to.
            given: What the image is.
            suffix: Of the kind of file that is answered.

        Raises:
            Refused: The body is no image that is taken, or none that can be made a source.
        """
        check_sent(request.headers.get("content-type", ""))
        content = await read_body(request, self.settings)

        def read() -> Taken:
            with limited(self.settings.max_pixels, "--max-pixels"):
                kinds = (sent_suffix(content), suffix)
                return served.translator.sources.read([io.BytesIO(content)], kinds, given=given, size=size)

        try:
            async with self._files:
                return await asyncio.to_thread(read)
        except TooLarge as error:
            problem = Problem("body", str(error), "send a smaller image")
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, problem) from None
        except OSError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, Problem("body", f"can't be translated: {error}")) from None

    async def show(self, served: Served, request: Request, size: tuple[int, int] | None, given: Given) -> Response:
        """Answer a request with the picture of the source that it brings."""
        taken = await self.read(served, request, size, given, ".png")

        def write() -> bytes:
            spec = served.translator.images.source
            shown = to_picture(taken.source.planes[: spec.channels], spec)
            return image_bytes(image_tensor(shown), ".png")

        return Response(await asyncio.to_thread(write), media_type="image/png")


Given = Literal["auto", "source", "file"]
Size = Annotated[
    str | None,
    Query(
        description="HxW to resize the source to, or `trained`; by default it keeps its size.",
        pattern="^(trained|[1-9][0-9]{0,5}x[1-9][0-9]{0,5})$",
    ),
]
As = Annotated[Given, Query(description="What the image is: a source, a file as the data set's, or tell.")]


def _add_models(app: FastAPI, desk: Desk) -> None:
    @app.get("/health", tags=["server"])
    async def health() -> dict[str, str]:
        """Say that the server is there."""
        return {"status": "ok", "version": p2pkit.__version__}

    @app.get("/metrics", tags=["server"], response_class=Response)
    async def metrics() -> Response:
        """Say in Prometheus' form what was asked and how long it took."""
        return Response(desk.metrics.text(), media_type=MEDIA)

    @app.get("/models", tags=["models"])
    async def models() -> list[dict[str, Json]]:
        """List the models, what they take and make, and their scores."""
        return [served.about() for served in desk.models.values()]

    @app.get("/models/{name}", tags=["models"], responses=_MISSING)
    async def model(name: Name) -> dict[str, Json]:
        """Describe one model."""
        return desk.model(name).about()

    @app.get("/models/{name}/card", tags=["models"], response_class=Response, responses=_MISSING)
    async def card(name: Name) -> Response:
        """Return a model's card, in Markdown."""
        return Response(desk.model(name).card, media_type="text/markdown; charset=utf-8")

    @app.get("/models/{name}/samples/{index}", tags=["models"], response_class=Response, responses=_MISSING)
    async def sample(name: Name, index: Annotated[int, Path(ge=0, description="From 0.")]) -> Response:
        """Return a source of a model's data as a PNG, to start from."""
        samples = desk.model(name).samples
        if index >= len(samples):
            raise Refused(HTTPStatus.NOT_FOUND, Problem("path.index", f"there are {len(samples)} samples"))
        return Response(image_bytes(image_tensor(samples[index]), ".png"), media_type="image/png")


def _add_translate(app: FastAPI, desk: Desk) -> None:
    body: dict[str, Json] = {"requestBody": {"required": True, "content": dict.fromkeys(KINDS, _BINARY)}}
    made: dict[int | str, dict[str, Json]] = {
        200: {"description": "The fake.", "content": dict.fromkeys(KINDS, _BINARY)}
    }

    @app.post(
        "/models/{name}/translate",
        tags=["models"],
        openapi_extra=body,
        responses=made | _REFUSALS,
        response_class=Response,
    )
    async def translate(
        name: Name,
        request: Request,
        size: Size = None,
        given: As = "auto",
        picture: Annotated[bool, Query(description="Answer with a picture for people, in colours of 8 bits.")] = False,
    ) -> Response:
        """Translate an image; the kind of the answer is chosen by Accept, PNG by default."""
        served = desk.model(name)
        status = 500
        try:
            response = await desk.translate(served, request, _size(size, served, desk.settings), given, picture)
            status = response.status_code
        except Refused as refused:
            status = refused.status
            raise
        finally:
            desk.metrics.requests.labels(name, status).inc()
        return response

    shown: dict[int | str, dict[str, Json]] = {200: {"description": "The source.", "content": {"image/png": _BINARY}}}
    shown |= {status: about for status, about in _REFUSALS.items() if status != 406}

    @app.post(
        "/models/{name}/source",
        tags=["models"],
        openapi_extra=body,
        responses=shown,
        response_class=Response,
    )
    async def source(name: Name, request: Request, size: Size = None, given: As = "auto") -> Response:
        """Show as a PNG what a model is given of an image: of a photo its edges, where the data set drew these."""
        served = desk.model(name)
        return await desk.show(served, request, _size(size, served, desk.settings), given)


def _add_pages(app: FastAPI, desk: Desk) -> None:
    files = page_files()

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(*files["index.html"][:1], media_type="text/html; charset=utf-8")

    @app.get("/page/models.json", include_in_schema=False)
    async def models() -> list[dict[str, Json]]:
        return [served.about() for served in desk.models.values()]

    @app.get("/page/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in files:
            raise Refused(HTTPStatus.NOT_FOUND, Problem(f"/page/{name}", "there is no such file"))
        content, kind = files[name]
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(docs_page(files, app.openapi()), media_type="text/html; charset=utf-8")


def _size(written: str | None, served: Served, settings: Settings) -> tuple[int, int] | None:
    if written is None:
        return None
    if written == "trained":
        images = served.translator.images
        return images.height, images.width
    height, width = map(int, written.split("x"))
    if height * width > settings.max_pixels:
        cause = f"is of more than the {settings.max_pixels} pixels that --max-pixels allows"
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, Problem("query.size", cause, "ask for a smaller one"))
    return height, width
