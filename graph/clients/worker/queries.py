"""The worker's GraphQL documents."""

ERRORS = "userErrors { code message path ... on InvalidState { currentState } }"

WHO = "{ viewer { role } }"

CLAIM = f"""
mutation Claim($input: ClaimActivityInput!) {{ claimActivity(input: $input) {{
  activity {{
    __typename id attempt createdAt
    code {{ repository path commit }}
    ... on Step {{
      key ordinal type parameters parameterList {{ name declared }} ports inputs
      execution {{ id title }}
      componentVersion {{ id version dockerHubLink secrets component {{ id name repoLink }} }}
      dependsOn {{ id key }}
    }}
    ... on Transform {{
      resource {{ id title landingPage organisation {{ id url name }} codeRepo {{ url }} }}
      cause {{ kind message files }}
    }}
  }}
  nextAvailableAt
  {ERRORS}
}} }}"""

EXTEND = f"""
mutation Extend($input: ExtendLeaseInput!) {{ extendLease(input: $input) {{ activity {{ id }} {ERRORS} }} }}"""

RELEASE = f"""
mutation Release($input: ReleaseActivityInput!) {{ releaseActivity(input: $input) {{ activity {{ id }} {ERRORS} }} }}"""

COMPLETE = f"""
mutation Complete($input: CompleteActivityInput!) {{
  completeActivity(input: $input) {{ activity {{ id status }} {ERRORS} }}
}}"""

APPEND = f"""
mutation Append($input: AppendLogsInput!) {{ appendLogs(input: $input) {{ nextSequence {ERRORS} }} }}"""

INPUT_FILES = """
query InputFiles($id: ID!, $first: Int!, $after: String) { node(id: $id) { id ... on Step {
  inputFiles(first: $first, after: $after) {
    nodes { outputId stepKey name sha256 downloadUrl(expiresIn: 3600) { url headers } }
    pageInfo { hasNextPage endCursor }
  }
} } }"""

UPLOAD = f"""
mutation Upload($input: CreateUploadInput!) {{ createUpload(input: $input) {{
  upload {{ id target {{ url method headers }} }} {ERRORS}
}} }}"""

REGISTER = f"""
mutation Register($input: RegisterOutputInput!) {{ registerOutput(input: $input) {{ output {{ id }} {ERRORS} }} }}"""
