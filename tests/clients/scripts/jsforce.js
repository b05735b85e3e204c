// Run by Node with jsforce: logs in, describes, queries, updates and upserts arrays, loads in bulk, makes a field.
// node jsforce.js, a JSON object on standard input: {login, username, password, client_id, client_secret, soql, row}
// -> JSON on standard output. `require` finds jsforce through NODE_PATH.
const jsforce = require("jsforce");

async function main(given) {
  const soap = new jsforce.Connection({ loginUrl: given.login, version: "64.0" });
  const user = await soap.login(given.username, given.password);
  const org = new jsforce.Connection({
    oauth2: { loginUrl: given.login, clientId: given.client_id, clientSecret: given.client_secret },
    version: "66.0",
  });
  await org.authorize({ grant_type: "client_credentials" });
  const said = { soap: user.id, identity: (await org.identity()).username };
  said.described = (await org.sobject("Account").describe()).fields.map((field) => field.name);
  said.listed = (await org.describeGlobal()).sobjects.length;
  said.records = (await org.query(given.soql)).records;
  said.upserted = await org.sobject("Account").upsert([given.row], "Key__c");
  const id = said.upserted[0].id;
  said.updated = await org.sobject("Account").update([{ Id: id, Description: "zwei\nZeilen" }, { Id: id.slice(0, 15), Name: given.row.Name }]);
  const rows = [{ Key__c: "LOADED-1", Name: "Łódź, \"Sp.\" z o.o." }, { Key__c: "LOADED-2", Name: "" }];
  const loaded = await org.bulk2.loadAndWaitForResults({
    object: "Account", operation: "upsert", externalIdFieldName: "Key__c", input: rows, pollInterval: 200, pollTimeout: 60000,
  });
  said.loaded = { ok: loaded.successfulResults, failed: loaded.failedResults };
  const field = { fullName: "Account.Jsforce__c", label: "Jsforce", type: "Text", length: 30 };
  said.made = await soap.metadata.create("CustomField", [field]);
  said.read = await soap.metadata.read("CustomField", ["Account.Jsforce__c"]);
  said.removed = await soap.metadata.delete("CustomField", ["Account.Jsforce__c"]);
  return said;
}

let text = "";
process.stdin.on("data", (piece) => (text += piece));
process.stdin.on("end", () =>
  main(JSON.parse(text)).then(
    (said) => console.log(JSON.stringify(said)),
    (error) => { console.error(error); process.exit(1); },
  ),
);
