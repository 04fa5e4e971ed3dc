// Copyright (c) 2026 The plumbline.kubernetes authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Asks a server over HTTPS as any program written in Go does, and says who it is: client BUNDLE NAME ADDRESS
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

func ask(bundle, name, address string) (string, error) {
	text, err := os.ReadFile(bundle)
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return "", fmt.Errorf("%s: no certificate in it", bundle)
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	answer, err := client.Get("https://" + net.JoinHostPort(name, "443") + "/")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	return fmt.Sprintf("%d %x", answer.StatusCode, answer.TLS.PeerCertificates[0].SerialNumber), nil
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: client BUNDLE NAME ADDRESS")
		os.Exit(2)
	}
	said, err := ask(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(said)
}
