"""Errors as JSON: what went wrong where, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from p2pkit.errors import P2pkitError, Problem, first_line
from p2pkit.serving.settings import HEADERS

MEDIA = "application/problem+json"


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 writes it.

    Args:
        title: The status in words.
        status: HTTP's status.
        where: The part of the request that is to blame.
        detail: What is wrong with it.
        remedy: What to do.
    """

    title: str
    status: int = Field(ge=400, lt=600)
    where: str
    detail: str
    remedy: str


class Refused(Exception):
    """A request is not answered.

    Args:
        status: HTTP's status.
        problem: Why.
        headers: Headers of the answer.
    """

    def __init__(self, status: HTTPStatus, problem: Problem, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(problem))
        self.status, self.problem, self.headers = status, problem, headers


def answer(status: int, problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem as a response."""
    about = ProblemDetails(
        title=HTTPStatus(status).phrase,
        status=status,
        where=problem.path,
        detail=problem.cause,
        remedy=problem.remedy,
    )
    return JSONResponse(about.model_dump(), status, headers, MEDIA)


def handle_problems(app: FastAPI, note: Callable[[str], None]) -> None:
    """Let an app answer each error by a problem.

    Args:
        app: The app.
        note: Hears of errors that nobody foresaw.
    """

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)
        return answer(error.status, error.problem, error.headers)

    async def for_user(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, P2pkitError)
        return answer(400, error.problems[0])

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        return answer(400, Problem(".".join(map(str, first["loc"])), str(first["msg"]), "/docs says what is taken"))

    async def plain(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return answer(
            error.status_code,
            Problem(request.url.path, str(error.detail), "/docs says what there is"),
            dict(error.headers or {}),
        )

    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        note(f"error: {request.method} {request.url.path}: {first_line(error, typed=True)}")
        cause = "the server made a mistake, which its terminal names"
        # Starlette answers this outside of all that adds headers.
        return answer(500, Problem(request.url.path, cause, "tell whoever runs it"), dict(HEADERS))

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(P2pkitError, for_user)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(Exception, unforeseen)
