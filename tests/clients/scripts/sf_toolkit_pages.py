"""Run by the environment of sf-toolkit: the results of a query job through pages that are fetched side by side.

python sf_toolkit_pages.py INSTANCE_URL TOKEN SOQL FIELD... -> JSON: {"pages": ..., "records": [...]}
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
from sf_toolkit import SalesforceClient
from sf_toolkit.auth import SalesforceToken
from sf_toolkit.data import SObject, TextField
from sf_toolkit.data.bulk import ResultPage


def main(address: str, token: str, soql: str, *fields: str) -> None:
    account = type("Account", (SObject,), {name: TextField() for name in fields})
    with SalesforceClient(token=SalesforceToken(httpx.URL(address), token)) as client:
        jobs = f"{client.data_url}/jobs/query"
        job = client.post(jobs, json={"operation": "query", "query": soql}).json()["id"]
        while client.get(f"{jobs}/{job}").json()["state"] != "JobComplete":
            time.sleep(0.1)
        pages, wanted = [], f"{jobs}/{job}/resultPages"
        while wanted:
            listed = client.get(wanted).json()
            urls = [httpx.URL(page["resultUrl"]) for page in listed["resultPages"]]
            pages += [ResultPage(client.connection_name, account, url) for url in urls]
            wanted = listed.get("nextRecordsUrl")
        with ThreadPoolExecutor(4) as pool:
            fetched = list(pool.map(lambda page: page.fetch(), pages))
        records = [{name: getattr(record, name) for name in fields} for page in fetched for record in page]
        print(json.dumps({"pages": len(pages), "records": records}))


main(*sys.argv[1:])
