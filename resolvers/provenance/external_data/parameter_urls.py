"""Parameters that are URLs: a step is assumed to read what lies there."""

from collections.abc import Mapping
from typing import Any

from resolvers.limits import MAX_USED_ARTIFACTS
from resolvers.provenance.external_data.external_state import ExternalState
from resolvers.provenance.external_data.external_url import external_url, without_query


def parameter_states(parameters: Mapping[str, Any]) -> list[ExternalState]:
    """The data at the URLs that are whole values of parameters, in an unknown state, at most MAX_USED_ARTIFACTS.

    Queries are left out: those of links that share a file are secrets.
    """
    texts = (value for value in parameters.values() if isinstance(value, str) and "://" in value)
    urls = dict.fromkeys(without_query(url) for text in texts if (url := external_url(text)) is not None)
    return [ExternalState(url) for url in list(urls)[:MAX_USED_ARTIFACTS]]
