"""Parsing of documents without reference cycles.

Tokens refer to the next and the previous token, so those of each document, valid or not, would stay in memory until
Python collects garbage, which is paused while answers are made.
"""

from graphql import DocumentNode, GraphQLError, Lexer, Source, Token
from graphql.language.parser import Parser

from graph.errors import LIMIT_EXCEEDED, RequestError

TOO_DEEP = "The request is nested too deeply to be read."


def parse_document(text: str, max_tokens: int) -> DocumentNode:
    """The AST of a document. Raises GraphQLError for bad syntax, RequestError when it is too large or too deep."""
    lexer = Lexer(Source(text))
    try:
        return Parser(lexer.source, max_tokens=max_tokens, lexer=lexer).parse_document()
    except RecursionError:
        raise RequestError(TOO_DEEP, LIMIT_EXCEEDED) from None
    except GraphQLError as error:
        if f"more than {max_tokens} tokens" in error.message:
            limit = f"The request has more than {max_tokens:,} tokens, which is as many as are allowed."
            raise RequestError(limit, LIMIT_EXCEEDED) from None
        raise
    finally:
        _unlink(lexer.token)


def _unlink(last: Token) -> None:
    """Clear the tokens' backward links, so that they are freed without the collector."""
    token: Token | None = last.next or last
    while token is not None:
        token.prev, token = None, token.prev
