// SPDX-License-Identifier: GPL-2.0-or-later
// Puts the page together: what to look at first, the figures, how full each tmpfs is, and the parts above.

const sumsOf = test => {
	const some = sums.filter(test);
	return { segments: total(some, 'segments'), memory: total(some, 'memory'), size: total(some, 'size'),
		unwritten: total(some, 'unwritten') };
};

// How full a tmpfs is, and how much of what its objects promise is not there.
const fullness = index => {
	const realm = realms[index], of = test => sumsOf(sum => sum.realm === index && ON_TMPFS.has(sum.kind) && test(sum));
	const idle = of(sum => sum.state === 'idle'), unlinked = of(sum => sum.kind === 'unlinked');
	const all = of(() => true), unknown = of(sum => sum.state === 'unknown' && sum.kind !== 'unlinked');
	const used = realm.used ?? all.memory, limited = realm.size !== null && realm.size > 0;
	const free = limited ? Math.max(realm.size - used, 0) : null;
	return { index, name: realmName(index), size: limited ? realm.size : null, used, free, all,
		idle: idle.memory, unlinked: unlinked.memory, unknown: unknown.memory,
		inUse: Math.max(all.memory - idle.memory - unlinked.memory - unknown.memory, 0),
		rest: Math.max(used - all.memory, 0), missing: limited ? Math.max(all.unwritten - free, 0) : 0 };
};

// A realm of an IPC namespace alone has no tmpfs.
const tmpfs = realms.map((realm, index) => index).filter(index => index === 0 || realms[index].name.startsWith('shm-'))
	.map(fullness).sort((a, b) => (a.index === 0 ? -1 : b.index === 0 ? 1 : b.used - a.used));

const makeTitle = () => {
	place('when', make('time', { datetime: new Date(now * 1000).toISOString() }, moment(now)), ` · `,
		several(total(sums, 'segments'), 'segment'), ` · `, several(processes.length, 'process', 'processes'),
		data.not_shown > 0 ? ` and ${count(data.not_shown)} not shown` : '', ` · counted by ${data.backend}, `,
		data.unreadable > 0 || data.unlisted_kinds > 0 || data.invisible ? 'not all could be read' : 'everything could be read',
		` · as `, bdi(userOf(data.uid)), ` sees it`);
	if (data.host === null)
		return;
	document.title = `Shared memory of ${data.host}`;
	place('title', ' of ', bdi(data.host));
};

const makeNotices = () => {
	const notices = [], note = (level, ...text) => notices.push(make('li', { class: `notice ${level}` }, ...text));
	for (const one of tmpfs) {
		if (one.size !== null && one.used >= 0.9 * one.size)
			note('bad', make('strong', null, bdi(one.name), ` is ${percent(one.used / one.size)} full. `),
				`${bytes(one.free)} are left. Once it is full, a process that writes to a page that has no memory yet dies of `,
				`SIGBUS (“Bus error”).`, one.idle > 0 ? ` ${bytes(one.idle)} of it are idle.` : '');
		if (one.missing > 0)
			note('warn', make('strong', null, `${bytes(one.missing)} are promised beyond what `, bdi(one.name), ' has. '),
				`Its objects have sizes of ${bytes(one.all.size)}, of which ${bytes(one.all.unwritten)} are not written yet, and `,
				`${bytes(one.free)} are free: whoever writes the rest of them dies of SIGBUS.`);
	}
	if (data.unreadable > 0)
		note('warn', `${several(data.unreadable, 'process', 'processes')} could not be read: counts of users may be too low.`);
	if (data.unlisted_kinds > 0)
		note('warn', `${several(data.unlisted_kinds, 'kind')} of segments could not be listed: sums are too low.`);
	if (data.limits_not_read > 0)
		note('warn', 'Some limits could not be read, and are missing.');
	if (data.inconsistent > 0)
		note('info', `While they were counted, ${several(data.inconsistent, 'process', 'processes')} changed all the while: `,
			'what is said of such a process was true, but not all at one instant.');
	if (data.invisible)
		note('warn', 'There may be processes that cannot be seen at all: ', bdi(data.invisible), '.');
	if (data.not_shown > 0)
		note('info', `${several(data.not_shown, 'process', 'processes')} are not shown, because you could not read their `,
			'memory. They are in the counts of each segment.');
	const left = total(sums, 'segments') - segments.length;
	if (left > 0)
		note('info', `The ${count(segments.length)} largest segments are shown; ${count(left)} smaller ones, of `,
			`${bytes(Math.max(total(sums, 'memory') - total(segments, 'memory'), 0))} together, are in the sums alone.`);
	place('notices', notices);
};

const makeFigures = () => {
	const own = tmpfs[0], idle = sumsOf(sum => sum.state === 'idle'), unlinked = sumsOf(sum => sum.kind === 'unlinked');
	const all = sumsOf(() => true), missing = total(tmpfs, 'missing');
	const figure = (name, value, ...text) => make('div', { class: `figure ${name}` }, make('b', null, value),
		make('span', null, ...text));
	place('figures',
		figure(own.size !== null && own.used >= 0.9 * own.size ? 'bad' : 'plain',
			own.size === null ? bytes(own.used) : percent(own.used / own.size),
			'used of ', bdi(own.name),
			own.size === null ? ', which has no limit' : `, ${bytes(own.used)} of ${bytes(own.size)}`),
		figure(missing > 0 ? 'warn' : 'plain', bytes(missing), 'promised beyond what is there',
			missing > 0 ? ': the next bus error' : ''),
		figure(idle.memory > 0 ? 'idle' : 'plain', bytes(idle.memory), `idle, in ${several(idle.segments, 'segment')}`),
		figure('plain', bytes(unlinked.memory), `unlinked but in use, in ${several(unlinked.segments, 'segment')}`),
		figure('plain', bytes(all.memory), `shared memory in all, of sizes of ${bytes(all.size)}`));
};

const makeFullRow = one => {
	const promised = one.used + one.all.unwritten;
	// So long that what is missing can be seen, and not so long that nothing else can.
	const whole = Math.max(one.size ?? one.used, Math.min(promised, 1.6 * (one.size ?? promised)), 1);
	const parts = [['used', one.inUse, 'In use'], ['unlinked', one.unlinked, 'Unlinked, in use'], ['idle', one.idle, 'Idle'],
		['other', one.unknown, 'Not known'], ['rest', one.rest, 'Other files'], ['free', one.free ?? 0, 'Free'],
		['missing', Math.min(one.missing, whole - (one.size ?? whole)), 'Promised beyond']];
	const said = one.size === null ? `${bytes(one.used)}, no limit` :
		`${bytes(one.used)} of ${bytes(one.size)}, ${percent(one.used / one.size)}`;
	return [make('dt', null, bdi(one.name)), make('dd', null, bar(parts, whole, `${said}; idle ${bytes(one.idle)}`),
		make('span', { class: 'said' }, said, one.missing > 0 ? make('em', null, ` + ${bytes(one.missing)} promised`) : ''))];
};

const makeFull = () => {
	const shown = tmpfs.slice(0, 12), apart = sumsOf(sum => !ON_TMPFS.has(sum.kind));
	const idle = sumsOf(sum => !ON_TMPFS.has(sum.kind) && sum.state === 'idle');
	const keys = [key('used', 'in use'), tmpfs.some(one => one.unlinked > 0) ? key('unlinked', 'unlinked, in use') : null,
		tmpfs.some(one => one.idle > 0) || idle.memory > 0 ? key('idle', 'idle') : null,
		tmpfs.some(one => one.unknown > 0) ? key('other', 'not known') : null,
		tmpfs.some(one => one.rest > 0) ? key('rest', 'other files') : null, key('free', 'free'),
		tmpfs.some(one => one.missing > 0) ? key('missing', 'promised beyond what is there') : null];
	const none = apart.segments === 0 ? [] : [make('dt', null, 'In no tmpfs'), make('dd', null,
		bar([['used', apart.memory - idle.memory, 'In use'], ['idle', idle.memory, 'Idle']], Math.max(apart.memory, 1),
			`${bytes(apart.memory)}; idle ${bytes(idle.memory)}`),
		make('span', { class: 'said' }, `${bytes(apart.memory)}: System V, memfds, anonymous`))];
	place('full', make('dl', { class: 'full' }, shown.flatMap(makeFullRow), none), tmpfs.length > shown.length ?
		make('p', { class: 'dim' }, `${several(tmpfs.length - shown.length, 'more tmpfs', 'more tmpfs')} of ` +
			bytes(total(tmpfs.slice(12), 'used')) + '.') : null, make('div', { class: 'legend' }, keys));
};

// Words that are all to be found, in the names of the segment or of those that use it.
const haystack = segment => {
	segment.haystack ??= [segment.name, segment.id, segment.kind, segment.state, usersOf(segment), unitOf(segment),
		userOf(segment.uid), placeOf(segment), ...segment.by.filter((_, i) => i % 3 === 0).flatMap(i =>
			[String(processes[i].pid), processes[i].command, processes[i].unit, userOf(processes[i].uid)])].join('\n').toLowerCase();
	return segment.haystack;
};

const choice = (name, values, change) => make('select', { 'aria-label': name, onchange: change },
	make('option', { value: '' }, `${name}: all`), values.map(value => make('option', { value }, value)));

const makeSegments = () => {
	const distinct = name => [...new Set(segments.map(segment => segment[name]))].sort();
	let table = null;
	const told = make('p', { class: 'dim', role: 'status' });
	const words = make('input', { type: 'search', placeholder: 'Filter: name, program, unit, user, pid',
		'aria-label': 'Filter segments by words', oninput: () => filter() });
	const kind = choice('Kind', distinct('kind'), () => filter()), state = choice('State', distinct('state'), () => filter());
	const filter = () => {
		const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
		table.shown = 100;
		table.set(segments.filter(segment => (!kind.value || segment.kind === kind.value) &&
			(!state.value || segment.state === state.value) && wanted.every(word => haystack(segment).includes(word))));
	};
	table = new Table(segmentColumns(segments[0]?.memory ?? 0), segments, { caption: 'Segments', sort: 'memory', first: 100,
		detail: segmentDetail, none: segments.length === 0 ? 'There is no segment.' : 'No segment is like that.',
		changed: (part, rows) => { told.textContent = `${several(rows.length, 'segment')} of ${bytes(total(rows, 'memory'))}`; } });
	table.element.classList.add('wide');
	place('segments-tools', words, kind, state);
	place('segments-table', told, table.element);
	return segment => {
		words.value = kind.value = state.value = '';
		table.shown = 100;
		table.opened = new Set([segment]);
		table.set([segment]);
		table.more.append(' ', make('button', { type: 'button', onclick: () => filter() }, 'Show all segments'));
		document.getElementById('segments').scrollIntoView({ block: 'start' });
		table.body.querySelector('.opens').focus({ preventScroll: true });
	};
};

const makeMap = pick => {
	const map = new Treemap(document.getElementById('map'), document.getElementById('map-legend'), pick);
	const measures = [['memory', 'Memory'], ['size', 'Size']];
	place('map-tools', make('span', { id: 'measure', class: 'dim' }, 'Area is'),
		make('span', { class: 'switch', role: 'group', 'aria-labelledby': 'measure' }, measures.map(([name, label]) =>
			make('button', { type: 'button', 'aria-pressed': String(name === map.measure), onclick: event => {
				map.measure = name;
				map.grow();
				for (const button of event.currentTarget.parentNode.children)
					button.setAttribute('aria-pressed', String(button === event.currentTarget));
			} }, label))));
};

makeTitle();
makeNotices();
makeFigures();
makeFull();
makeMap(makeSegments());
makeProcesses();
makeIdle();
makeKinds();
makeLimits();
place('footer', `Made by shmtree ${data.version} from .shmtree/report.html when it was opened; it does not change by itself. ` +
	'The files segments, processes and limits beside it say the same to programs.');
