"""Run by the environment of aiosalesforce: bulk upsert, then a query.

python aiosalesforce_rows.py URL CLIENT_ID CLIENT_SECRET ROW (JSON) SOQL -> JSON: {"applied": ..., "records": [...]}
"""

import asyncio
import json
import sys

import httpx
from aiosalesforce import Salesforce
from aiosalesforce.auth import ClientCredentialsFlow


async def main(address: str, client_id: str, secret: str, row: str, soql: str) -> None:
    async with httpx.AsyncClient() as session:
        client = Salesforce(session, base_url=address, auth=ClientCredentialsFlow(client_id, secret))
        result = await client.bulk_v2.upsert("Account", [json.loads(row)], external_id_field="Key__c")
        records = [record async for record in client.query(soql)]
        print(json.dumps({"applied": len(result.successful_results), "records": records}))


asyncio.run(main(*sys.argv[1:]))
