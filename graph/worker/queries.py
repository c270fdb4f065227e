"""What a worker asks and reports."""

ERRORS = "userErrors { code message ... on InvalidState { currentState } }"

WHO = "{ viewer { role } }"

CLAIM = f"""
mutation Claim($input: ClaimActivityInput!) {{ claimActivity(input: $input) {{
  activity {{
    __typename id attempt createdAt
    code {{ repository path commit }}
    ... on Step {{
      key ordinal type parameters ports inputs
      execution {{ id title }}
      componentVersion {{ id version dockerHubLink secrets component {{ componentName repoLink }} }}
      dependsOn {{ id key }}
    }}
    ... on Transform {{
      resource {{ id title landingPage organisation {{ url name }} codeRepo {{ url }} }}
      cause {{ kind message files }}
    }}
  }}
  {ERRORS}
}} }}"""

EXTEND = f"""
mutation Extend($input: ExtendLeaseInput!) {{ extendLease(input: $input) {{ activity {{ attempt }} {ERRORS} }} }}"""

RELEASE = f"""
mutation Release($input: ReleaseActivityInput!) {{ releaseActivity(input: $input) {{ activity {{ id }} {ERRORS} }} }}"""

COMPLETE = f"""
mutation Complete($input: CompleteActivityInput!) {{
  completeActivity(input: $input) {{ activity {{ status }} {ERRORS} }}
}}"""

APPEND = f"""
mutation Append($input: AppendLogsInput!) {{ appendLogs(input: $input) {{ nextSequence {ERRORS} }} }}"""

INPUT_FILES = """
query InputFiles($id: ID!, $first: Int!, $after: ID) { node(id: $id) { ... on Step {
  inputFiles(first: $first, after: $after) {
    outputId stepKey fileName sha256 downloadUrl(expiresIn: 3600) { url headers }
  }
} } }"""

UPLOAD = f"""
mutation Upload($input: CreateUploadInput!) {{ createUpload(input: $input) {{
  upload {{ id target {{ url method headers }} }} {ERRORS}
}} }}"""

REGISTER = f"""
mutation Register($input: RegisterOutputInput!) {{ registerOutput(input: $input) {{ output {{ id }} {ERRORS} }} }}"""
