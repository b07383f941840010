"""What the server says of itself is true: requests made from its description find no answer that it does not name."""

from __future__ import annotations

import pytest

from p2pkit.serving.settings import Settings


@pytest.mark.long
def test_nothing_is_found_by_requests_made_from_the_description(models, served):
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given, settings

    with served(models, Settings(rate=0)) as client:
        described = schemathesis.openapi.from_url(f"http://127.0.0.1:{client.port}/openapi.json")
        operations = [found.ok() for found in described.get_all_operations()]
        assert len(operations) > 7
        for operation in operations:

            @given(case=operation.as_strategy())
            @settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
            def ask(case):
                case.call_and_validate()

            ask()
