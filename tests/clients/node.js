// The Node clients of Alibaba Cloud, asked by lines of JSON, as sdk.py is.
//
// Arguments: host and port, id and secret of a key.
'use strict';

const readline = require('readline');
const OpenApi = require('@alicloud/openapi-client');
const Util = require('@alicloud/tea-util');
const PopCore = require('@alicloud/pop-core');

const [endpoint, accessKeyId, accessKeySecret] = process.argv.slice(2);
const apiVersion = '2017-05-25';
// Milliseconds, also on a machine that is busy.
const timeout = 60000;

function openApi(signatureAlgorithm, inBody) {
  const patience = { readTimeout: timeout, connectTimeout: timeout };
  const config = new OpenApi.Config({ accessKeyId, accessKeySecret, endpoint, protocol: 'HTTP', signatureAlgorithm, ...patience });
  const client = new OpenApi.default(config);
  return async (action, given) => {
    const params = new OpenApi.Params({
      action,
      version: apiVersion,
      protocol: 'HTTP',
      pathname: '/',
      method: 'POST',
      authType: 'AK',
      style: 'RPC',
      reqBodyType: 'formData',
      bodyType: 'json',
    });
    const request = new OpenApi.OpenApiRequest(inBody ? { body: given } : { query: given });
    const answer = await client.callApi(params, request, new Util.RuntimeOptions({}));
    return answer.body;
  };
}

function pop(method) {
  const client = new PopCore.RPCClient({ accessKeyId, accessKeySecret, endpoint: `http://${endpoint}`, apiVersion });
  return (action, given) => client.request(action, given, { method, timeout });
}

const clients = {
  'openapi': openApi(undefined, false),
  'openapi SM3': openApi('ACS3-HMAC-SM3', false),
  'openapi v2': openApi('v2', false),
  'openapi body': openApi(undefined, true),
  'pop GET': pop('GET'),
  'pop POST': pop('POST'),
};

async function tell(asked) {
  try {
    return { body: await clients[asked.client](asked.action, asked.given) };
  } catch (error) {
    const status = error.statusCode || (error.data && error.data.statusCode) || null;
    return { error: error.name, code: error.code, status, text: String(error.message).slice(0, 300) };
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await tell(JSON.parse(line))) + '\n');
  }
})();
