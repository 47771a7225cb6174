/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hide.h"

#include "churn.h"

#include <linux/io_uring.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Not in the headers of older systems; the numbers are the kernel's ABI (Linux 5.18). */
#define REGISTER_RING_FDS 20
#define UNREGISTER_RING_FDS 21

struct ring_update {
	uint32_t offset, reserved;
	uint64_t data;
};

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr header;
};

static void send_object(int object)
{
	union control control = { { 0 } };
	struct iovec part = { &(char){ 0 }, 1 };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof object);
	memcpy(CMSG_DATA(&control.header), &object, sizeof object);
	sendmsg(CHURN_SEND_FD, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Receives a descriptor, and keeps it as the number `place`, or drops it if that is 0. */
static void receive_object(int place)
{
	union control control;
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	const struct cmsghdr *header;
	int object;

	if (recvmsg(CHURN_RECEIVE_FD, &message, MSG_DONTWAIT) < 0)
		return;
	header = CMSG_FIRSTHDR(&message);
	if (header == NULL || header->cmsg_type != SCM_RIGHTS)
		return;
	memcpy(&object, CMSG_DATA(header), sizeof object);
	if (place != 0)
		dup2(object, place);
	close(object);
}

/* Makes a ring with which the object is registered, where the system allows it. */
static void make_ring(int object, int place)
{
	struct io_uring_params parameters = { 0 };
	int ring = syscall(SYS_io_uring_setup, 1, &parameters);

	if (ring < 0)
		return;
	syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &object, 1);
	dup2(ring, place);
	close(ring);
}

/* Has the thread keep the ring without a descriptor, or give up the ring that it keeps so. */
static void keep_ring(int ring, unsigned number, int keep)
{
	struct ring_update update = { .offset = number, .data = keep ? ring : 0 };

	syscall(SYS_io_uring_register, ring, keep ? REGISTER_RING_FDS : UNREGISTER_RING_FDS,
		&update, 1);
	if (keep)
		close(ring);
}

void churn_hide(unsigned random, int object)
{
	int ring = CHURN_RING_FD + random / 16 % CHURN_RINGS;

	switch (random % 16) {
	case 0:
		make_ring(object, ring);
		break;
	case 1:
		close(ring);
		break;
	case 2:
		keep_ring(ring, random / 64 % 2, random / 128 % 2);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
	case 8:
		send_object(object);
		break;
	default:
		receive_object(
			random / 16 % 2 ? CHURN_OBJECT_FD + random / 32 % CHURN_OBJECT_FDS : 0);
	}
}
