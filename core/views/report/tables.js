// SPDX-License-Identifier: GPL-2.0-or-later
// The tables of the page.

const tip = document.getElementById('tip');

const showTip = (text, x, y) => {
	tip.textContent = text;
	tip.hidden = false;
	const box = tip.getBoundingClientRect();
	tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 8)) + 'px';
	tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18) + 'px';
};

const hideTip = () => { tip.hidden = true; };

// A segment in some lines of text.
const tellSegment = segment => {
	const lines = [segment.name === '' ? '(no name)' : segment.name,
		`${segment.kind}, ${segment.state}` + (segment.age === null ? '' : ` for ${age(segment.age)}`),
		`${bytes(segment.allocated)} of ${bytes(segment.size)} in memory`];
	if (segment.users > 0)
		lines.push(`used by ${usersOf(segment)}` + (unitOf(segment) ? ` in ${unitOf(segment)}` : ''));
	return lines.join('\n');
};

// Bytes, with a line below of their part of the whole.
const sized = (n, whole, name) => {
	const element = make('span', { class: 'sized', title: n === null ? null : count(n) + ' bytes' }, bytes(n));
	const line = make('span', { class: `line ${name}`, 'aria-hidden': 'true' });
	line.style.width = whole > 0 && n > 0 ? Math.max(100 * n / whole, 1) + '%' : '0';
	element.append(line);
	return element;
};

const numberColumn = (name, label, help) => ({ name, label, help, number: true, first: 'descending',
	value: row => row[name], show: row => count(row[name]) });

const sizeColumn = (name, label, help) => ({ name, label, help, number: true, first: 'descending',
	value: row => row[name], show: row => bytes(row[name]),
	title: row => row[name] === null ? 'not known' : count(row[name]) + ' bytes' });

const textColumn = (name, label, value, more) => ({ name, label, value, show: row => bdi(value(row)), ...more });

const userColumn = textColumn('user', 'User', row => userOf(row.uid), { title: row => `uid ${row.uid}` });

const makeProcesses = () => {
	const most = processes.reduce((max, one) => Math.max(max, one.share), 0);
	const columns = [
		numberColumn('pid', 'PID'),
		textColumn('command', 'Command', row => row.command, { class: 'name', title: row => row.cmdline }),
		textColumn('unit', 'Unit', row => row.unit === '-' ? '' : row.unit, { class: 'name unit', title: row => row.unit }),
		userColumn,
		numberColumn('segments', 'Segm.', 'Segments'),
		sizeColumn('size', 'Size', 'Of its segments in full'),
		{ ...sizeColumn('share', 'Share', 'The memory of each segment, divided by the processes that use it'),
			show: row => sized(row.share, most, 'used') },
	];
	columns[0].first = 'ascending';
	columns[0].show = row => String(row.pid);
	place('processes', make('p', { class: 'dim' }, processes.length === 0 ? '' :
		`${several(processes.length, 'process', 'processes')} with the largest share of the memory first.`,
	data.not_shown > 0 ? ` ${several(data.not_shown, 'process', 'processes')} not shown to you.` : ''),
	new Table(columns, processes, { caption: 'Processes that use shared memory', sort: 'share', first: 12, step: 40,
		none: 'No process that you may see uses shared memory.' }).element);
};

const AGES = [[3600, 'under 1 hour'], [86400, 'under 1 day'], [7 * 86400, 'under 7 days'], [Infinity, '7 days or more']];

const makeAges = idle => {
	const rows = AGES.map(([end, label], i) => {
		const begin = i > 0 ? AGES[i - 1][0] : -1;
		const some = idle.filter(one => one.age !== null && one.age >= begin && one.age < end);
		return { label, n: some.length, memory: total(some, 'memory') };
	});
	const most = Math.max(...rows.map(row => row.memory), 1);
	return make('dl', { class: 'ages' }, rows.map(row => {
		const line = make('span', { class: 'line idle' });
		line.style.width = 100 * row.memory / most + '%';
		return [make('dt', null, row.label), make('dd', null, make('span', { class: 'track' }, line),
			row.n === 0 ? '–' : `${bytes(row.memory)} in ${count(row.n)}`)];
	}));
};

const makeIdle = () => {
	const idle = segments.filter(segment => segment.state === 'idle');
	const columns = [
		textColumn('name', 'Name', row => row.name, { class: 'name mono', title: row => row.name }),
		textColumn('kind', 'Kind', row => row.kind),
		userColumn,
		{ ...sizeColumn('memory', 'Memory'), show: row => sized(row.memory, idle[0]?.memory, 'idle') },
		{ name: 'age', label: 'Idle for', number: true, first: 'descending', value: row => row.age,
			show: row => row.age === null ? '?' : age(row.age),
			title: row => row.since > 0 ? 'since ' + moment(row.since) : null },
	];
	if (idle.length === 0) {
		place('idle', make('p', { class: 'dim' }, 'Nothing is idle: each segment is used, or it is not known whether it is.'));
		return;
	}
	place('idle', makeAges(idle), new Table(columns, idle, { caption: 'Segments that nothing uses', sort: 'memory',
		first: 8, step: 40 }).element, make('p', { class: 'dim' },
		'In the directory .shmtree this removes what nothing has used for an hour, and nothing else: '),
	make('pre', null, 'find idle/posix idle/sysv -mindepth 1 -mmin +60 -exec rmdir {} +'));
};

const makeKinds = () => {
	const kinds = new Map();
	for (const sum of sums) {
		if (!kinds.has(sum.kind))
			kinds.set(sum.kind, { kind: sum.kind, segments: 0, memory: 0, size: 0, idle: 0 });
		const kind = kinds.get(sum.kind);
		for (const name of ['segments', 'memory', 'size'])
			kind[name] += sum[name];
		if (sum.state === 'idle')
			kind.idle += sum.memory;
	}
	const rows = [...kinds.values()], most = Math.max(...rows.map(row => row.memory), 1);
	place('kinds', new Table([textColumn('kind', 'Kind', row => row.kind), numberColumn('segments', 'Segments'),
		{ ...sizeColumn('memory', 'Memory'), show: row => sized(row.memory, most, 'used') },
		sizeColumn('size', 'Size', 'Sum of the sizes'), sizeColumn('idle', 'Idle', 'Memory of what nothing uses')], rows,
	{ caption: 'Sums by kind of segment', sort: 'memory', first: 20, none: 'There is no segment.' }).element);
};

// A limit beyond any memory is none.
const makeLimits = () => {
	const rows = limits.filter(limit => limit.limit > 0 && limit.limit < 1e15 && limit.used !== null);
	const say = (limit, n) => limit.resource.endsWith('BYTES') ? bytes(n) : count(n);
	const used = row => {
		const share = row.used / row.limit, element = make('span', { class: 'sized' }, percent(share));
		const line = make('span', { class: share > 0.9 ? 'line full' : 'line used', 'aria-hidden': 'true' });
		line.style.width = Math.min(100 * share, 100) + '%';
		element.append(line);
		return element;
	};
	place('limits', new Table([textColumn('resource', 'Limit', row => row.resource, { class: 'mono' }),
		{ ...numberColumn('used', 'Used'), show: row => say(row, row.used) },
		{ ...numberColumn('limit', 'Of'), show: row => say(row, row.limit) },
		{ name: 'share', label: 'Part', number: true, first: 'descending', value: row => row.used / row.limit,
			show: used }], rows,
	{ caption: 'Limits, and how near they are', sort: 'share', first: 20, none: 'No limit is known.' }).element);
};

const fact = (name, ...value) => make('div', null, make('dt', null, name), make('dd', null, ...value));

// What a row of the table of segments opens.
const segmentDetail = segment => {
	const users = [];
	for (let i = 0; i < segment.by.length; i += 3)
		users.push({ ...processes[segment.by[i]], maps: segment.by[i + 1], opens: segment.by[i + 2] });
	const more = segment.users - users.length, removal = removalOf(segment);
	return make('div', null, make('dl', { class: 'facts' },
		fact('ID', bdi(segment.id, { class: 'mono' })), placeOf(segment) ? fact('In', bdi(placeOf(segment))) : null,
		fact('Permissions', segment.mode.toString(8).padStart(4, '0')),
		fact('Owner', bdi(`${userOf(segment.uid)} (${segment.uid}:${segment.gid})`)),
		fact('In memory', bytes(segment.resident)), fact('In swap', bytes(segment.swapped)),
		fact('Open files', count(segment.references)), fact('Of them hidden', count(segment.hidden)),
		segment.since > 0 ? fact('Idle since', moment(segment.since)) : null,
		removal ? fact('Removal, if still idle', make('code', null, removal)) : null),
	users.length === 0 ? null : make('table', { class: 'users' }, make('thead', null, make('tr', null,
		['PID', 'Command', 'Unit', 'Mappings', 'Descriptors', 'Command line'].map(label => make('th', null, label)))),
	make('tbody', null, users.map(user => make('tr', null, make('td', null, String(user.pid)),
		make('td', null, bdi(user.command)), make('td', null, bdi(user.unit)), make('td', null, count(user.maps)),
		make('td', null, count(user.opens)), make('td', { class: 'mono' }, bdi(user.cmdline)))))),
	more > 0 ? make('p', { class: 'dim' }, `${several(more, 'more process', 'more processes')}` +
		(segment.users > segment.seen ? `, of which ${count(segment.users - segment.seen)} are not shown to you.` : '.')) : null);
};

const segmentColumns = most => [
	textColumn('name', 'Name', row => row.name === '' ? '(no name)' : row.name, { class: 'name mono', title: row => row.name }),
	textColumn('kind', 'Kind', row => row.kind),
	{ name: 'state', label: 'State', value: row => row.state,
		show: row => make('span', { class: `state ${row.state}` }, row.state) },
	{ ...sizeColumn('memory', 'Memory', 'In memory and swap'),
		show: row => sized(row.allocated, most, row.state === 'idle' ? 'idle' : 'used') },
	sizeColumn('size', 'Size'),
	textColumn('users', 'Used by', usersOf, { class: 'name', title: usersOf }),
	textColumn('unit', 'Unit', unitOf, { class: 'name unit', title: unitOf }),
	numberColumn('mappings', 'Maps', 'Mappings, in all address spaces'),
	numberColumn('openers', 'Fds', 'Descriptors that refer to it'),
	userColumn,
	{ name: 'age', label: 'Idle for', number: true, first: 'descending', value: row => row.age,
		show: row => row.age === null ? '' : age(row.age) },
	{ name: 'mtime', label: 'Modified', number: true, first: 'descending', value: row => row.mtime > 0 ? row.mtime : null,
		show: row => row.mtime > 0 ? age(Math.max(now - row.mtime, 0)) : '',
		title: row => row.mtime > 0 ? moment(row.mtime) : null },
];
