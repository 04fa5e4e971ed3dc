// Copyright (c) 2026 The plumbline.kubernetes authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package podroutes is the pod network of a kind cluster: what kindnetd does in kindest/node, less its NetworkPolicy and
// masquerading. Every node gets a CNI configuration for its own pod ranges, one of each IP family that the cluster has,
// and routes to those of every other node.
package podroutes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const configFile = "/etc/cni/net.d/10-pod-routes.conflist"

// Run keeps this node's configuration and routes as the Node objects say, until it cannot reach the cluster at its start.
func Run(ctx context.Context) error {
	self := os.Getenv("NODE_NAME")
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	// the API server's own address: Service addresses work only once kube-proxy does
	if host := os.Getenv("CONTROL_PLANE_ENDPOINT"); host != "" {
		config.Host = "https://" + host
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	nodes := informers.NewSharedInformerFactory(client, 0).Core().V1().Nodes()
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	_, err = nodes.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { note() },
		UpdateFunc: func(any, any) { note() },
		DeleteFunc: func(any) { note() },
	})
	if err != nil {
		return err
	}
	go nodes.Informer().Run(ctx.Done())
	for range changed {
		list, err := nodes.Lister().List(labels.Everything())
		if err == nil {
			err = sync(self, list)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(time.Second)
			note()
		}
	}
	return nil
}

func sync(self string, nodes []*v1.Node) error {
	for _, node := range nodes {
		if len(node.Spec.PodCIDRs) == 0 {
			continue
		}
		if node.Name == self {
			if err := writeConfig(node.Spec.PodCIDRs); err != nil {
				return err
			}
			continue
		}
		for _, cidr := range node.Spec.PodCIDRs {
			if err := route(cidr, node); err != nil {
				return fmt.Errorf("route to %s by %s: %w", cidr, node.Name, err)
			}
		}
	}
	return nil
}

func route(cidr string, node *v1.Node) error {
	_, destination, err := net.ParseCIDR(cidr)
	if err != nil {
		return err
	}
	gateway := internalIP(node, isIPv4(destination.IP))
	if gateway == nil {
		return fmt.Errorf("no internal address of its family yet")
	}
	return netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: gateway})
}

func internalIP(node *v1.Node, v4 bool) net.IP {
	for _, address := range node.Status.Addresses {
		ip := net.ParseIP(address.Address)
		if address.Type == v1.NodeInternalIP && ip != nil && isIPv4(ip) == v4 {
			return ip
		}
	}
	return nil
}

func isIPv4(ip net.IP) bool { return ip.To4() != nil }

// writeConfig replaces the file in one step, and only when it changes: containerd reads it at every event in its folder.
func writeConfig(cidrs []string) error {
	var routes []map[string]any
	var ranges [][]map[string]any
	for _, cidr := range cidrs {
		ip, _, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		all := "::/0"
		if isIPv4(ip) {
			all = "0.0.0.0/0"
		}
		routes = append(routes, map[string]any{"dst": all})
		ranges = append(ranges, []map[string]any{{"subnet": cidr}})
	}
	plugins := []map[string]any{
		{
			"type": "ptp", "ipMasq": false,
			"ipam": map[string]any{
				"type": "host-local", "dataDir": "/run/cni-ipam",
				"routes": routes,
				"ranges": ranges,
			},
		},
		{"type": "portmap", "capabilities": map[string]any{"portMappings": true}},
	}
	content, err := json.MarshalIndent(map[string]any{"cniVersion": "0.4.0", "name": "pod-routes", "plugins": plugins}, "", "  ")
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(configFile); err == nil && bytes.Equal(old, content) {
		return nil
	}
	temporary := filepath.Join(filepath.Dir(configFile), ".pod-routes")
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, configFile)
}
