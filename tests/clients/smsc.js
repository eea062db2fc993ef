// A message centre by the library `smpp` of npm: what one account submits goes to the other.
//
// A message that is not taken for the moment (see SOON) comes again, as a centre in service has it.
// Receipts come in turn before the answer that names them, right after it, and behind those of later messages.
//
// Arguments: the two accounts, and for TLS the files of a key and a certificate. It says its port, on a line of JSON, and ends with its standard input.
'use strict';

const fs = require('fs');
const smpp = require('smpp');

const [first, second, key, cert] = process.argv.slice(2);
const sessions = {};
const SOON = [smpp.ESME_RSYSERR, smpp.ESME_RMSGQFUL, smpp.ESME_RTHROTTLED, smpp.ESME_RX_T_APPN];
let serial = 160;

function receipt(session, pdu, id) {
  session.deliver_sm({
    source_addr: pdu.destination_addr,
    destination_addr: pdu.source_addr,
    esm_class: 4,
    short_message: `id:${id} sub:001 dlvrd:001 submit date:2601311504 done date:2601311504 stat:DELIVRD err:000 text:-`,
    receipted_message_id: id,
    message_state: 2,
  });
}

function relay(session, name) {
  session.on('submit_sm', (pdu) => {
    const turn = (serial += 1) % 3;
    const id = serial.toString(16).toUpperCase();
    const accept = () => session.send(pdu.response({ message_id: id }));
    const early = turn === 0 && pdu.registered_delivery;
    if (!early) accept();
    const text = pdu.message_payload || pdu.short_message;
    const taken = {};
    if (Array.isArray(text.udh)) {
      // It reads a header by its elements, and writes it as a whole.
      const header = Buffer.concat(text.udh);
      text.udh = Buffer.concat([Buffer.from([header.length]), header]);
    }
    for (const each of ['source_addr', 'source_addr_ton', 'source_addr_npi', 'destination_addr', 'dest_addr_ton', 'dest_addr_npi', 'esm_class', 'data_coding', 'short_message', 'message_payload', 'sar_msg_ref_num', 'sar_total_segments', 'sar_segment_seqnum']) {
      if (pdu[each] !== undefined) taken[each] = pdu[each];
    }
    const other = sessions[name === first ? second : first];
    const pass = () => other.deliver_sm(taken, (answer) => {
      if (SOON.includes(answer.command_status)) {
        setTimeout(pass, 500);
        return;
      }
      const tell = () => receipt(session, pdu, id);
      if (pdu.registered_delivery && answer.command_status === 0) {
        if (turn === 1) setTimeout(tell, 50);
        else tell();
      }
      if (early) accept();
    });
    pass();
  });
}

const options = key ? { key: fs.readFileSync(key), cert: fs.readFileSync(cert) } : {};
const server = smpp.createServer(options, (session) => {
  session.on('error', () => {});
  session.on('bind_transceiver', (pdu) => {
    if (pdu.password !== 'secret') {
      session.send(pdu.response({ command_status: smpp.ESME_RINVPASWD }));
      session.close();
      return;
    }
    sessions[pdu.system_id] = session;
    relay(session, pdu.system_id);
    session.send(pdu.response());
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    session.close();
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
process.stdin.on('end', () => process.exit(0)).resume();
