"""Operations behind the graph: reads, writes, access control, and the rules of the domain."""
